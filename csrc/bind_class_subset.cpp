#include <algorithm>

#include "bind.h"
#include "class_subset.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;

IdArray greedy_checked(const RealArray& weights, std::int64_t k) {
  check_dimensions(weights, "weights", 2);
  const std::int64_t n = weights.shape(0);
  if (weights.shape(1) != n) {
    throw py::value_error(message("weights is (", n, ", ", weights.shape(1), "), expected a square matrix"));
  }
  if (k < 2 || k > n) throw py::value_error(message("k is ", k, ", expected 2..", n));
  const double* values = weights.data();
  std::vector<std::int64_t> chosen;
  {
    const py::gil_scoped_release nogil;  // reads a large matrix, touches no Python object
    chosen = greedy_class_subset(values, n, k);
  }
  IdArray result(static_cast<py::ssize_t>(chosen.size()));
  std::copy(chosen.begin(), chosen.end(), result.mutable_data());
  return result;
}

}  // namespace

void register_class_subset(py::module_& module) {
  module.def("greedy_class_subset", &greedy_checked, "weights"_a.noconvert(), "k"_a);
}

}  // namespace rescale_fast
