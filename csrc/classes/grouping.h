// Splits all classes into groups of given sizes, with as much weight inside groups as can be found.
#pragma once

#include <cstdint>

#include "classes/weight_graph.h"
#include "core/array.h"
#include "core/job.h"

namespace rescale_fast {

// Takes, for each size in turn, the greedy set of that size (csrc/classes/greedy.h) out of the classes that are left.
// Returns the group of each class. Precondition: the sizes add up to the number of classes, each at least 1.
// Source: Gao 2021 ("Subsets of ImageNet"), class method 4.
Array<std::int64_t> extract_groups(const WeightGraph& graph, const Array<std::int64_t>& sizes, const Job& job);

// Improves a grouping by swaps of two classes between groups: simulated annealing, then swaps that help until none
// does; each for at most the time of about `num_moves` proposals that are turned down. Sizes are kept. A proposal draws
// a class and one of its neighbours in another group, and swaps the class with a member of that group; it costs a few
// look-ups, and a walk along two rows when it is made. Needs n * groups * 8 bytes. The result depends on the seed
// alone and is never worse than `start`.
Array<std::int64_t> anneal_groups(const WeightGraph& graph, const Array<std::int64_t>& start, std::int64_t num_moves,
                                  std::uint64_t seed, const Job& job);

// Sum of the weights of the pairs within groups.
double weight_inside(const WeightGraph& graph, const Array<std::int64_t>& group_of);

}  // namespace rescale_fast
