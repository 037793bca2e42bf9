// What the bindings share: array types that refuse to convert, and one register function a kernel.
// Only csrc/bind includes this: the kernels know nothing of Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <sstream>
#include <string>
#include <system_error>

#include "core/array.h"
#include "core/file_io.h"
#include "core/job.h"

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

inline IdArray to_array(const Array<std::int64_t>& values) {
  IdArray array(values.size());
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

inline void check_dimensions(const py::array& array, const char* name, py::ssize_t dimensions) {
  if (array.ndim() != dimensions) {
    throw py::value_error(message(name, " has ", array.ndim(), " dimensions, expected ", dimensions));
  }
}

// Runs `work`, which does the job, in a thread of its own and without the GIL; this one wakes up now and then to see
// whether Ctrl-C was pressed and to call `tick` (with the GIL). If either raises, the job is stopped, the work is
// waited for, and the error goes on. A std::system_error of the work becomes an OSError, which names the file of a
// FileError.
template <typename Work>
auto run_job(Job& job, const Work& work, const std::function<void()>& tick = {}) {
  try {
    auto running = std::async(std::launch::async, work);
    const auto is_done = [&](std::chrono::milliseconds patience) {
      const py::gil_scoped_release nogil;
      return running.wait_for(patience) == std::future_status::ready;
    };
    for (auto patience = std::chrono::milliseconds(1); !is_done(patience); patience = std::chrono::milliseconds(30)) {
      try {
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (tick) tick();
      } catch (...) {
        job.stop();
        const py::gil_scoped_release nogil;
        running.wait();
        throw;
      }
    }
    return running.get();
  } catch (const std::system_error& error) {
    const auto* refused = dynamic_cast<const FileError*>(&error);
    errno = error.code().value();
    PyErr_SetFromErrnoWithFilename(PyExc_OSError, refused != nullptr ? refused->path.c_str() : nullptr);
    throw py::error_already_set();
  }
}

void register_confusion(py::module_& module);
void register_weight_graph(py::module_& module);
void register_class_subset(py::module_& module);
void register_class_grouping(py::module_& module);
void register_fidelity(py::module_& module);
void register_pairs(py::module_& module);
void register_beton(py::module_& module);
void register_downsample(py::module_& module);
void register_image_header(py::module_& module);

}  // namespace rescale_fast
