#include "class_subset_bound.h"

#include <algorithm>
#include <cmath>

namespace rescale_fast {
namespace {

struct Pair {
  std::size_t a, b;
  std::int64_t weight;   // fixed point
  std::int64_t share_a;  // of the weight, 0..weight; the rest is b's
};

std::vector<Pair> evenly_split_pairs(const WeightGraph& graph) {
  std::vector<Pair> pairs;
  pairs.reserve(static_cast<std::size_t>(graph.num_entries() / 2));
  for (std::int64_t e = 0; e < graph.num_entries(); ++e) {
    if (graph.owner(e) > graph.neighbor(e)) continue;
    const std::int64_t weight = std::llrint(std::ldexp(graph.weight(e), kLoadFractionBits));
    pairs.push_back({static_cast<std::size_t>(graph.owner(e)), static_cast<std::size_t>(graph.neighbor(e)), weight,
                     weight / 2});
  }
  return pairs;
}

}  // namespace

std::vector<std::int64_t> even_loads(const WeightGraph& graph, std::int64_t max_steps) {
  std::vector<Pair> pairs = evenly_split_pairs(graph);
  std::vector<std::int64_t> loads(static_cast<std::size_t>(graph.num_classes()), 0);
  for (const Pair& pair : pairs) {
    loads[pair.a] += pair.share_a;
    loads[pair.b] += pair.weight - pair.share_a;
  }
  for (std::int64_t steps = 0; steps < max_steps; steps += static_cast<std::int64_t>(pairs.size())) {
    bool moved = false;
    for (Pair& pair : pairs) {
      // Half the difference goes from the heavier to the lighter class, as far as the shares reach.
      const std::int64_t wanted = (loads[pair.a] - loads[pair.b]) / 2;
      const std::int64_t moves = std::clamp(wanted, pair.share_a - pair.weight, pair.share_a);
      if (moves == 0) continue;
      pair.share_a -= moves;
      loads[pair.a] -= moves;
      loads[pair.b] += moves;
      moved = true;
    }
    if (!moved) break;
  }
  return loads;
}

}  // namespace rescale_fast
