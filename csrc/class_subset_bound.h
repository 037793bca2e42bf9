// Bounds from above how much weight any k classes can have among them.
#pragma once

#include <cstdint>
#include <vector>

#include "class_subset_search.h"

namespace rescale_fast {

// Loads are integers in units of 2^-kLoadFractionBits, so that sums of them are exact.
constexpr int kLoadFractionBits = 20;

// Splits the weight of each pair between its two classes, so that the loads of the classes (the sums of their
// shares) are as even as the pairs allow. Returns the load of each class.
//
// For any split, a set of k classes weighs at most the sum of its loads, hence at most the sum of the k largest: each
// pair inside counts in full, and shares are never negative. That is weak duality for the linear relaxation
// y_ij <= x_i, y_ij <= x_j, sum x = k; the most even loads minimise the k largest for every k at once, so one
// split gives the relaxation's bound for every k. Shares move along one pair at a time, from the larger load
// to the smaller, in sweeps over all pairs, until nothing moves or `max_steps` pairs have been looked at; stopping
// early loosens the bounds and never invalidates them.
// Preconditions: weights are whole numbers and add up to less than 2^42.
// Source: the relaxation is Charikar's (2000) for the densest subgraph, with the size as a constraint; even loads as its
// dual are from Danisch, Chan and Sozio, "Large scale density-friendly graph decomposition" (WWW 2017).
std::vector<std::int64_t> even_loads(const WeightGraph& graph, std::int64_t max_steps);

}  // namespace rescale_fast
