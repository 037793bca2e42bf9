#include "classes/fidelity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "bind/bind.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;
using Classes = std::vector<std::int64_t>;

std::vector<double> finite_values(const char* name, const RealArray& values) {
  std::vector<double> result(values.data(), values.data() + values.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!std::isfinite(result[i])) throw py::value_error(message(name, " holds ", result[i], " at place ", i));
  }
  return result;
}

std::unique_ptr<FidelityModel> make_model(const RealArray& loadings, const RealArray& specific,
                                          const RealArray& residuals) {
  check_dimensions(loadings, "loadings", 1);
  check_dimensions(specific, "specific", 1);
  check_dimensions(residuals, "residuals", 2);
  const py::ssize_t n = loadings.size();
  if (n < 1 || specific.size() != n || residuals.shape(0) != n) {
    throw py::value_error(message("loadings are of ", n, " classes, specific of ", specific.size(), ", residuals of ",
                                  residuals.shape(0), "; expected the same, at least 1"));
  }
  auto of_loadings = finite_values("loadings", loadings);
  auto of_specific = finite_values("specific", specific);
  double total = 0;
  for (const double one : of_loadings) total += one;
  if (!(total > 0)) throw py::value_error(message("loadings add up to ", total, ", expected more than 0"));
  for (const double one : of_specific) {
    if (one < 0) throw py::value_error(message("specific holds ", one, ", expected variances"));
  }
  return std::make_unique<FidelityModel>(std::move(of_loadings), std::move(of_specific),
                                         finite_values("residuals", residuals));
}

Classes checked_classes(const FidelityModel& model, const IdArray& classes) {
  Classes result(classes.data(), classes.data() + classes.size());
  std::vector<bool> seen(model.num_classes(), false);
  for (const std::int64_t c : result) {
    if (c < 0 || c >= static_cast<std::int64_t>(seen.size()) || seen[static_cast<std::size_t>(c)]) {
      throw py::value_error(message("classes name ", c, ", expected each of 0..", seen.size() - 1, " at most once"));
    }
    seen[static_cast<std::size_t>(c)] = true;
  }
  return result;
}

py::tuple search_checked(const FidelityModel& model, const WeightGraph& graph, std::int64_t k, double fidelity,
                         double confusion, const std::vector<IdArray>& starts, int num_chains, std::int64_t chain_moves,
                         std::uint64_t seed, int num_threads, const py::object& report) {
  const auto n = static_cast<std::int64_t>(model.num_classes());
  if (k < 1 || k > n) throw py::value_error(message("k is ", k, ", expected 1..", n));
  if (graph.num_classes() != n) {
    throw py::value_error(message("graph is of ", graph.num_classes(), " classes, expected ", n));
  }
  if (num_chains < 1 || chain_moves < 0 || !std::isfinite(fidelity) || !(confusion >= 0) || std::isinf(confusion)) {
    throw py::value_error(message("num_chains is ", num_chains, ", chain_moves is ", chain_moves, ", fidelity is ",
                                  fidelity, ", confusion is ", confusion, "; expected >= 1, >= 0, finite, >= 0"));
  }
  std::vector<Classes> begin;
  for (const IdArray& start : starts) {
    begin.push_back(checked_classes(model, start));
    if (start.size() != k) throw py::value_error(message("starts[", begin.size() - 1, "] is not of ", k, " classes"));
  }
  Job job(num_threads);
  SearchWatch watch(job, std::numeric_limits<double>::infinity());
  const auto tick = [&] {
    if (!report.is_none()) report(job.done());
  };
  const SearchResult found = run_job(
      job,
      [&] {
        return search_fidelity({model, graph, fidelity, confusion}, k, begin, {num_chains, chain_moves, seed}, watch);
      },
      tick);
  IdArray classes(static_cast<py::ssize_t>(found.classes.size()));
  std::copy(found.classes.begin(), found.classes.end(), classes.mutable_data());
  return py::make_tuple(classes, found.value);
}

}  // namespace

void register_fidelity(py::module_& module) {
  py::class_<FidelityModel>(module, "FidelityModel")
      .def(py::init(&make_model), "loadings"_a.noconvert(), "specific"_a.noconvert(), "residuals"_a.noconvert())
      .def_property_readonly("num_classes", &FidelityModel::num_classes)
      .def(
          "fidelity",
          [](const FidelityModel& model, const IdArray& classes) {
            return model.fidelity(checked_classes(model, classes));
          },
          "classes"_a.noconvert());
  module.def("search_fidelity", &search_checked, "model"_a, "graph"_a, "k"_a, py::kw_only(), "fidelity"_a,
             "confusion"_a, "starts"_a, "num_chains"_a, "chain_moves"_a, "seed"_a, "num_threads"_a,
             "report"_a = py::none());
}

}  // namespace rescale_fast
