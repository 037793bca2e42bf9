#include <algorithm>
#include <limits>
#include <vector>

#include "bind/bind.h"
#include "classes/bound.h"
#include "classes/greedy.h"
#include "classes/search.h"
#include "core/array.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;

void check_k(const WeightGraph& graph, std::int64_t k) {
  if (k < 2 || k > graph.num_classes()) {
    throw py::value_error(message("k is ", k, ", expected 2..", graph.num_classes()));
  }
}

IdArray greedy_checked(const WeightGraph& graph, std::int64_t k) {
  check_k(graph, k);
  Array<std::int64_t> chosen;
  {
    const py::gil_scoped_release nogil;  // reads a large matrix, touches no Python object
    chosen = greedy_class_subset(graph, k);
  }
  return to_array(chosen);
}

IdArray many_starts_checked(const WeightGraph& graph, std::int64_t k, std::int64_t num_starts, int num_threads) {
  check_k(graph, k);
  if (num_starts < 1) throw py::value_error(message("num_starts is ", num_starts, ", expected >= 1"));
  Job job(num_threads);
  return to_array(run_job(job, [&] { return greedy_from_many_starts(graph, k, num_starts, job); }));
}

IdArray peel_checked(const WeightGraph& graph, std::int64_t k) {
  check_k(graph, k);
  Job job;
  return to_array(run_job(job, [&] { return peel_class_subset(graph, k, job); }));
}

Array<Array<std::int64_t>> checked_starts(const WeightGraph& graph, std::int64_t k,
                                          const std::vector<IdArray>& starts) {
  Array<Array<std::int64_t>> result;
  for (const IdArray& start : starts) {
    result.emplace_back(start.data(), start.data() + start.size());
    Array<std::int64_t> sorted = result.back();
    std::sort(sorted.begin(), sorted.end());
    if (start.size() != k || sorted.front() < 0 || sorted.back() >= graph.num_classes() ||
        std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
      throw py::value_error(message("starts[", result.size() - 1, "] is not of ", k, " different classes"));
    }
  }
  return result;
}

py::tuple search_checked(const WeightGraph& graph, std::int64_t k, const std::vector<IdArray>& starts, int num_chains,
                         std::int64_t chain_work, double hottest, std::uint64_t seed, int num_threads, double target,
                         const py::object& report) {
  check_k(graph, k);
  if (num_chains < 1 || chain_work < 0 || !(hottest > 0)) {
    throw py::value_error(message("num_chains is ", num_chains, ", chain_work is ", chain_work, ", hottest is ",
                                  hottest, "; expected >= 1, >= 0, > 0"));
  }
  const auto begin = checked_starts(graph, k, starts);
  const SearchSettings settings{num_chains, chain_work, hottest, seed};
  Job job(num_threads);
  SearchWatch watch(job, target);
  const auto tick = [&] {  // a report that ends the search is no error: what has been found is the result
    if (job.is_stopped() || report.is_none()) return;
    if (report(job.done(), watch.value.load()).is(py::bool_(false))) job.stop();
  };
  const SearchResult result = run_job(
      job, [&] { return search_class_subset(graph, k, begin, settings, watch); }, tick);
  return py::make_tuple(to_array(result.classes), result.value);
}

py::tuple even_loads_checked(const WeightGraph& graph, std::int64_t max_steps) {
  Job job;
  const EvenLoads result = run_job(job, [&] { return even_loads(graph, max_steps, job); });
  return py::make_tuple(to_array(result.loads), to_array(result.shares), result.fraction_bits);
}

}  // namespace

void register_class_subset(py::module_& module) {
  module.def("greedy_class_subset", &greedy_checked, "graph"_a, "k"_a);
  module.def("greedy_from_many_starts", &many_starts_checked, "graph"_a, "k"_a, py::kw_only(), "num_starts"_a,
             "num_threads"_a);
  module.def("peel_class_subset", &peel_checked, "graph"_a, "k"_a);
  module.def("search_class_subset", &search_checked, "graph"_a, "k"_a, py::kw_only(), "starts"_a, "num_chains"_a,
             "chain_work"_a, "hottest"_a, "seed"_a, "num_threads"_a,
             "target"_a = std::numeric_limits<double>::infinity(), "report"_a = py::none());
  module.def("even_loads", &even_loads_checked, "graph"_a, py::kw_only(), "max_steps"_a);
}

}  // namespace rescale_fast
