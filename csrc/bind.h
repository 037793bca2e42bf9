// What the bindings share: array types that refuse to convert, and one register function a kernel.
// Only bind*.cpp include this: the kernels know nothing of Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <sstream>
#include <string>

namespace rescale_fast {

namespace py = pybind11;

// C-contiguous, of exactly this dtype: bind arguments of these types with .noconvert().
using IdArray = py::array_t<std::int64_t, py::array::c_style>;
using RealArray = py::array_t<double, py::array::c_style>;

template <typename... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

inline void check_dimensions(const py::array& array, const char* name, py::ssize_t dimensions) {
  if (array.ndim() != dimensions) {
    throw py::value_error(message(name, " has ", array.ndim(), " dimensions, expected ", dimensions));
  }
}

void register_confusion(py::module_& module);
void register_class_subset(py::module_& module);
void register_beton(py::module_& module);

}  // namespace rescale_fast
