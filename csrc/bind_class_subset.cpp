#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <future>

#include "bind.h"
#include "class_subset.h"
#include "class_subset_bound.h"
#include "class_subset_search.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;

void check_weights(const RealArray& weights, std::int64_t k) {
  check_dimensions(weights, "weights", 2);
  const std::int64_t n = weights.shape(0);
  if (weights.shape(1) != n) {
    throw py::value_error(message("weights is (", n, ", ", weights.shape(1), "), expected a square matrix"));
  }
  if (k < 2 || k > n) throw py::value_error(message("k is ", k, ", expected 2..", n));
  const double* values = weights.data();
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      const double value = values[i * n + j];
      if (!(value >= 0.0) || std::isinf(value)) {  // also true for NaN
        throw py::value_error(message("weights[", i, ", ", j, "] is ", value, ", expected a finite number >= 0"));
      }
      if (value != values[j * n + i] || (i == j && value != 0.0)) {
        throw py::value_error(message("weights[", i, ", ", j, "] is ", value, ", weights[", j, ", ", i, "] is ",
                                      values[j * n + i], "; expected a symmetric matrix with a zero diagonal"));
      }
    }
  }
}

IdArray to_array(const std::vector<std::int64_t>& classes) {
  IdArray result(static_cast<py::ssize_t>(classes.size()));
  std::copy(classes.begin(), classes.end(), result.mutable_data());
  return result;
}

IdArray greedy_checked(const RealArray& weights, std::int64_t k) {
  check_weights(weights, k);
  const double* values = weights.data();
  const std::int64_t n = weights.shape(0);
  std::vector<std::int64_t> chosen;
  {
    const py::gil_scoped_release nogil;  // reads a large matrix, touches no Python object
    chosen = greedy_class_subset(values, n, k);
  }
  return to_array(chosen);
}

py::tuple anneal_checked(const RealArray& weights, std::int64_t k, int num_chains, std::int64_t num_moves,
                         std::uint64_t seed, int num_threads) {
  check_weights(weights, k);
  if (num_chains < 1 || num_moves < 0) {
    throw py::value_error(message("num_chains is ", num_chains, ", num_moves is ", num_moves, ", expected >= 1, >= 0"));
  }
  const double* values = weights.data();
  const std::int64_t n = weights.shape(0);
  std::atomic<bool> stop{false};
  std::future<SearchResult> search = std::async(std::launch::async, [&] {
    const auto greedy = greedy_class_subset(values, n, k);
    return anneal_class_subset(WeightGraph(values, n), greedy, k, num_chains, num_moves, seed, num_threads, stop);
  });
  // The search runs in threads of its own; this one wakes up now and then to see whether Ctrl-C was pressed.
  for (bool done = false; !done;) {
    {
      const py::gil_scoped_release nogil;
      done = search.wait_for(std::chrono::milliseconds(50)) == std::future_status::ready;
    }
    if (!done && PyErr_CheckSignals() != 0) {
      stop = true;
      {
        const py::gil_scoped_release nogil;
        search.wait();
      }
      throw py::error_already_set();
    }
  }
  const SearchResult result = search.get();
  return py::make_tuple(to_array(result.classes), result.value);
}

IdArray even_loads_checked(const RealArray& weights, std::int64_t max_steps) {
  check_weights(weights, 2);
  const double* values = weights.data();
  const std::int64_t n = weights.shape(0);
  double total = 0;
  for (std::int64_t i = 0; i < n * n; ++i) {
    if (values[i] != std::floor(values[i])) {
      throw py::value_error(message("weights[", i / n, ", ", i % n, "] is ", values[i], ", expected a whole number"));
    }
    total += values[i];
  }
  if (!(total < 0x1.0p42)) throw py::value_error(message("the weights add up to ", total, ", expected less than 2^42"));
  std::vector<std::int64_t> loads;
  {
    const py::gil_scoped_release nogil;  // many sweeps over all pairs, no Python object
    loads = even_loads(WeightGraph(values, n), max_steps);
  }
  return to_array(loads);
}

}  // namespace

void register_class_subset(py::module_& module) {
  module.def("greedy_class_subset", &greedy_checked, "weights"_a.noconvert(), "k"_a);
  module.def("anneal_class_subset", &anneal_checked, "weights"_a.noconvert(), "k"_a, py::kw_only(), "num_chains"_a,
             "num_moves"_a, "seed"_a, "num_threads"_a);
  module.def("even_loads", &even_loads_checked, "weights"_a.noconvert(), py::kw_only(), "max_steps"_a);
  module.attr("LOAD_FRACTION_BITS") = kLoadFractionBits;
}

}  // namespace rescale_fast
