#include "classes/search.h"

#include <algorithm>

#include "classes/anneal.h"
#include "classes/selection.h"
#include "classes/tabu.h"

namespace rescale_fast {
namespace {

// One-for-one swaps, best first, until none helps.
void swap_to_local_optimum(const WeightGraph& graph, Selection& selection, const Job& job) {
  Array<std::int64_t> outside;
  for (bool improved = true; improved && !job.is_stopped();) {
    improved = false;
    outside.clear();
    for (std::int64_t c = 0; c < graph.num_classes(); ++c) {
      if (!selection.has(c)) outside.push_back(c);
    }
    const auto by_gain = [&](std::int64_t a, std::int64_t b) {
      return selection.gain(a) != selection.gain(b) ? selection.gain(a) > selection.gain(b) : a < b;
    };
    std::sort(outside.begin(), outside.end(), by_gain);
    double best = 1e-9 * selection.value();  // less may be rounding
    std::int64_t out = -1, in = -1;
    for (const std::int64_t u : selection.members()) {
      for (const std::int64_t v : outside) {
        const double at_most = selection.gain(v) - selection.gain(u);
        if (at_most <= best) break;  // nor is any later one better
        const double change = at_most - graph.between(u, v);
        if (change <= best) continue;
        best = change;
        out = u;
        in = v;
      }
    }
    if (out >= 0) {
      selection.drop(out);
      selection.add(in);
      improved = true;
    }
  }
}

Array<std::int64_t> random_start(std::int64_t num_classes, std::int64_t k, Random& random) {
  Array<std::int64_t> all(num_classes);
  for (std::int64_t i = 0; i < all.size(); ++i) all[i] = i;
  for (std::int64_t i = 0; i < k; ++i) std::swap(all[i], all[i + random.below(num_classes - i)]);
  all.resize(k);
  return all;
}

SearchResult search_from(const WeightGraph& graph, const DegreeSampler& sampler, const Array<std::int64_t>& start,
                         const SearchSettings& settings, Random& random, int chain, SearchWatch& watch) {
  const std::int64_t annealing = graph.is_dense() ? settings.chain_work / 4 : settings.chain_work;
  SearchResult found = anneal(graph, sampler, start, settings.hottest, annealing, random.bits(), chain, watch);
  if (graph.is_dense()) {
    found = tabu_search(graph, found.classes, settings.chain_work - annealing, random.bits(), chain, watch);
  }
  Selection polished(graph, found.classes);
  swap_to_local_optimum(graph, polished, watch.job);
  return {polished.members(), graph.value(polished.members())};
}

}  // namespace

SearchResult search_class_subset(const WeightGraph& graph, std::int64_t k, const Array<Array<std::int64_t>>& starts,
                                 const SearchSettings& settings, SearchWatch& watch) {
  const DegreeSampler sampler(graph);
  Array<SearchResult> results(settings.num_chains);
  const auto run = [&](std::int64_t number) {
    const int chain = static_cast<int>(number);
    if (watch.is_over(chain - 1)) return;
    Random random(settings.seed * std::uint64_t{0x9e3779b97f4a7c15} + static_cast<std::uint64_t>(chain));
    const auto start = chain < starts.size() ? starts[chain] : random_start(graph.num_classes(), k, random);
    results[chain] = search_from(graph, sampler, start, settings, random, chain, watch);
  };
  watch.job.for_each(settings.num_chains, [&] { return run; });
  while (!results.empty() && !watch.counts(static_cast<int>(results.size()) - 1)) results.pop_back();
  for (const auto& start : starts) results.push_back({start, graph.value(start)});
  SearchResult best;
  for (const SearchResult& result : results) {  // those of chains that did not begin are empty
    if (!result.classes.empty() && (best.classes.empty() || result.value > best.value)) best = result;
  }
  std::sort(best.classes.begin(), best.classes.end());
  return best;
}

}  // namespace rescale_fast
