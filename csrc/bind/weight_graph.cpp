#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "bind/bind.h"
#include "classes/weight_graph.h"
#include "core/array.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;
using NeighborArray = py::array_t<std::int32_t, py::array::c_style>;

void check_weight(std::int64_t i, std::int64_t j, double value) {
  if (!(value >= 0.0) || std::isinf(value)) {  // also true for NaN
    throw py::value_error(message("weights[", i, ", ", j, "] is ", value, ", expected a finite number >= 0"));
  }
}

void check_mirrored(std::int64_t i, std::int64_t j, double value, double mirrored) {
  if (value != mirrored || (i == j && value != 0.0)) {
    throw py::value_error(message("weights[", i, ", ", j, "] is ", value, ", weights[", j, ", ", i, "] is ", mirrored,
                                  "; expected a symmetric matrix with a zero diagonal"));
  }
}

void check_num_classes(std::int64_t n) {
  if (n < 2) throw py::value_error(message("weights are of ", n, " classes, expected at least 2"));
}

std::unique_ptr<WeightGraph> make_graph(Array<std::int64_t> offsets, Array<std::int32_t> neighbors,
                                        Array<double> weights) {
  auto graph = std::make_unique<WeightGraph>(std::move(offsets), std::move(neighbors), std::move(weights));
  if (std::isinf(graph->total())) throw py::value_error("weights are finite, but their sum is not; divide them all");
  return graph;
}

std::unique_ptr<WeightGraph> from_dense(const RealArray& weights) {
  check_dimensions(weights, "weights", 2);
  const std::int64_t n = weights.shape(0);
  if (weights.shape(1) != n) {
    throw py::value_error(message("weights is (", n, ", ", weights.shape(1), "), expected a square matrix"));
  }
  check_num_classes(n);
  const double* values = weights.data();
  Array<std::int64_t> offsets{0};
  Array<std::int32_t> neighbors;
  Array<double> kept;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      const double value = values[i * n + j];
      if (value == 0.0 && i != j && values[j * n + i] == 0.0) continue;
      check_weight(i, j, value);
      check_mirrored(i, j, value, values[j * n + i]);
      if (i == j) continue;
      neighbors.push_back(static_cast<std::int32_t>(j));
      kept.push_back(value);
    }
    offsets.push_back(neighbors.size());
  }
  return make_graph(std::move(offsets), std::move(neighbors), std::move(kept));
}

void check_rows(const IdArray& offsets, const NeighborArray& neighbors, const RealArray& weights) {
  check_dimensions(offsets, "offsets", 1);
  check_dimensions(neighbors, "neighbors", 1);
  check_dimensions(weights, "weights", 1);
  const std::int64_t n = offsets.size() - 1;
  check_num_classes(n);
  const std::int64_t* ends = offsets.data();
  if (ends[0] != 0 || ends[n] != neighbors.size() || neighbors.size() != weights.size()) {
    throw py::value_error(message("offsets run from ", ends[0], " to ", ends[n], ", but there are ", neighbors.size(),
                                  " neighbors and ", weights.size(), " weights"));
  }
  for (std::int64_t i = 0; i < n; ++i) {
    if (ends[i] > ends[i + 1]) throw py::value_error(message("offsets[", i + 1, "] is less than the one before"));
    for (std::int64_t e = ends[i]; e < ends[i + 1]; ++e) {
      const std::int32_t j = neighbors.data()[e];
      if (j < 0 || j >= n || (e > ends[i] && j <= neighbors.data()[e - 1])) {
        throw py::value_error(message("row ", i, " has the neighbor ", j, " at place ", e - ends[i],
                                      "; expected increasing numbers in 0..", n - 1));
      }
    }
  }
}

std::unique_ptr<WeightGraph> from_rows(const IdArray& offsets, const NeighborArray& neighbors,
                                       const RealArray& weights) {
  check_rows(offsets, neighbors, weights);
  const std::int64_t n = offsets.size() - 1;
  const std::int64_t* ends = offsets.data();
  const std::int32_t* columns = neighbors.data();
  const double* values = weights.data();
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t e = ends[i]; e < ends[i + 1]; ++e) {
      const std::int32_t j = columns[e];
      check_weight(i, j, values[e]);
      if (values[e] == 0.0) throw py::value_error(message("weights[", i, ", ", j, "] is stored as 0; leave it out"));
      const auto* found = std::lower_bound(columns + ends[j], columns + ends[j + 1], static_cast<std::int32_t>(i));
      const bool there = found != columns + ends[j + 1] && *found == i;
      check_mirrored(i, j, values[e], there ? values[found - columns] : 0.0);
    }
  }
  return make_graph({ends, ends + n + 1}, {columns, columns + neighbors.size()}, {values, values + weights.size()});
}

Array<std::int64_t> checked_classes(const WeightGraph& graph, const IdArray& classes) {
  Array<std::int64_t> result(classes.data(), classes.data() + classes.size());
  Array<char> seen(graph.num_classes(), 0);
  for (const std::int64_t c : result) {
    if (c < 0 || c >= graph.num_classes() || seen[c]) {
      throw py::value_error(message("classes name ", c, ", expected each of 0..", graph.num_classes() - 1, " once"));
    }
    seen[c] = 1;
  }
  return result;
}

RealArray among(const WeightGraph& graph, const IdArray& classes) {
  const Array<std::int64_t> chosen = checked_classes(graph, classes);
  const std::int64_t m = chosen.size();
  RealArray result({m, m});
  std::fill_n(result.mutable_data(), m * m, 0.0);
  Array<std::int64_t> place(graph.num_classes(), -1);
  for (std::int64_t i = 0; i < m; ++i) place[chosen[i]] = i;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t e = graph.begin(chosen[i]); e < graph.end(chosen[i]); ++e) {
      const std::int64_t j = place[graph.neighbor(e)];
      if (j >= 0) result.mutable_data()[i * m + j] = graph.weight(e);
    }
  }
  return result;
}

}  // namespace

void register_weight_graph(py::module_& module) {
  py::class_<WeightGraph>(module, "WeightGraph")
      .def_static("from_dense", &from_dense, "weights"_a.noconvert())
      .def_static("from_rows", &from_rows, "offsets"_a.noconvert(), "neighbors"_a.noconvert(), "weights"_a.noconvert())
      .def_property_readonly("num_classes", &WeightGraph::num_classes)
      .def_property_readonly("num_pairs", [](const WeightGraph& graph) { return graph.num_entries() / 2; })
      .def_property_readonly("total", &WeightGraph::total)
      .def_property_readonly("is_integral", &WeightGraph::is_integral)
      .def(
          "value",
          [](const WeightGraph& graph, const IdArray& classes) { return graph.value(checked_classes(graph, classes)); },
          "classes"_a.noconvert())
      .def("among", &among, "classes"_a.noconvert());
}

}  // namespace rescale_fast
