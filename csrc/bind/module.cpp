#include "bind/bind.h"

#include <cerrno>
#include <exception>
#include <system_error>

namespace {

// As OSError, from which it can be told that it was a thread that the machine did not allow.
void translate_system_error(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const std::system_error& error) {
    errno = error.code().value();
    PyErr_SetFromErrno(PyExc_OSError);
  }
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of rescale_fast. Call it through the Python modules, which document it.";
  module.attr("__version__") = RESCALE_FAST_VERSION;
  pybind11::register_exception_translator(translate_system_error);
  rescale_fast::register_confusion(module);
  rescale_fast::register_weight_graph(module);
  rescale_fast::register_class_subset(module);
  rescale_fast::register_class_grouping(module);
  rescale_fast::register_fidelity(module);
  rescale_fast::register_pairs(module);
  rescale_fast::register_beton(module);
  rescale_fast::register_downsample(module);
  rescale_fast::register_image_header(module);
}
