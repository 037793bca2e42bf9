// What the bindings of long work on files share: progress and Ctrl-C, names, and files that Python decodes.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "bind/bind.h"
#include "core/array.h"
#include "image/image_file.h"

namespace rescale_fast {

// As run_job; tells `advance` by how much the job has advanced since the last time.
template <typename Work>
auto run_reported(Job& job, const py::function& advance, const Work& work) {
  std::int64_t seen = 0;
  const auto report = [&] {
    const std::int64_t now = job.done();
    if (now != seen) advance(now - seen);
    seen = now;
  };
  auto result = run_job(job, work, report);
  report();  // the last few
  return result;
}

// From a file's bytes Python gives an array (height, width, 3) of uint8, or text that says why it cannot.
inline Pixels load_in_python(const py::function& load, std::int64_t index, const std::vector<std::uint8_t>& bytes) {
  const py::gil_scoped_acquire gil;
  try {
    const py::object found = load(index, py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    if (py::isinstance<py::str>(found)) throw ImageError(found.cast<std::string>());
    const auto array = py::array_t<std::uint8_t, py::array::c_style>::ensure(found);
    if (!array || array.ndim() != 3 || array.shape(2) != 3 || array.size() == 0) throw ImageError("not an RGB image");
    Pixels image{static_cast<int>(array.shape(1)), static_cast<int>(array.shape(0)), {}};
    image.data.assign(array.data(), array.data() + array.size());
    return image;
  } catch (const py::error_already_set& error) {
    throw ImageError(error.what());
  }
}

inline Array<const char*> split_names(const std::string& names, std::int64_t count) {
  Array<const char*> paths;
  paths.reserve(count);
  const char *at = names.c_str(), *end = at + names.size();
  for (std::int64_t i = 0; i < count; ++i) {
    if (at > end) throw py::value_error(message("names holds ", i, " names, expected ", count));
    paths.push_back(at);
    at += std::strlen(at) + 1;
  }
  if (at != end + 1 && count > 0) throw py::value_error(message("names holds more than ", count, " names"));
  return paths;
}

inline void check_range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value < low || value > high) {
    throw py::value_error(message(name, " is ", value, ", expected ", low, "..", high));
  }
}

// A reason may hold bytes of a file's name that are no UTF-8.
inline py::dict reasons_dict(const std::map<std::int64_t, std::string>& reasons) {
  py::dict result;
  for (const auto& [index, reason] : reasons) {
    PyObject* text = PyUnicode_DecodeUTF8(reason.data(), static_cast<py::ssize_t>(reason.size()), "replace");
    result[py::int_(index)] = py::reinterpret_steal<py::str>(text);
  }
  return result;
}

}  // namespace rescale_fast
