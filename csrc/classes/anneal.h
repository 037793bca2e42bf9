// Simulated annealing: one chain, from one start.
#pragma once

#include <cstdint>

#include "classes/search.h"
#include "core/array.h"

namespace rescale_fast {

// Draws classes with a probability that grows with their degrees: where moves begin.
class DegreeSampler {
 public:
  explicit DegreeSampler(const WeightGraph& graph);
  std::int64_t draw(double uniform) const;  // uniform in [0, 1)

 private:
  Array<double> cumulative_;
};

// Anneals from the temperature `hottest` to a small part of it (both in units of the graph's natural scale).
// On a sparse graph a move exchanges whole clusters: it adds 1 to 8 classes that belong together and drops as many that
// contribute least, so heavy pairs and small clusters, which one-for-one swaps cannot exchange, change places. On a
// dense graph, which has no such clusters, a move swaps one class for one, and is judged before it is made. `classes`
// of the result are in no order. Ends when `watch` says that the chain is over.
SearchResult anneal(const WeightGraph& graph, const DegreeSampler& sampler, const Array<std::int64_t>& start,
                    double hottest, std::int64_t work, std::uint64_t seed, int chain, SearchWatch& watch);

}  // namespace rescale_fast
