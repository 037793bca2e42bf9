// Bounds from above how much weight any k classes can have among them.
#pragma once

#include <cstdint>

#include "classes/weight_graph.h"
#include "core/array.h"
#include "core/job.h"

namespace rescale_fast {

// Loads and shares are integers in units of 2^-fraction_bits, so that sums of them are exact.
struct EvenLoads {
  int fraction_bits = 0;
  Array<std::int64_t> loads;   // (n) of each class
  Array<std::int64_t> shares;  // (entries) what the class of the entry's row carries of the pair's weight
};

// Splits the weight of each pair between its two classes, so that the loads of the classes (the sums of their
// shares) are as even as the pairs allow.
//
// For any split, a set of k classes weighs at most the sum of its loads, hence at most the sum of the k largest: each
// pair inside counts in full, and shares are never negative. That is weak duality for the linear relaxation
// y_ij <= x_i, y_ij <= x_j, sum x = k; the most even loads minimise the k largest for every k at once, so one
// split gives the relaxation's bound for every k. Shares move along one pair at a time, from the larger load
// to the smaller, in sweeps over all pairs, until nothing moves or `max_steps` pairs have been looked at; stopping
// early loosens the bounds and never invalidates them. Weights that are no multiple of the unit are rounded up.
// Source: the relaxation is Charikar's (2000) for the densest subgraph, with the size as a constraint; even loads as
// its dual are from Danisch, Chan and Sozio, "Large scale density-friendly graph decomposition" (WWW 2017).
EvenLoads even_loads(const WeightGraph& graph, std::int64_t max_steps, const Job& job);

}  // namespace rescale_fast
