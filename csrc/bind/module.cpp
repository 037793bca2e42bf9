#include "bind/bind.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of rescale_fast. Call it through the Python modules, which document it.";
  module.attr("__version__") = RESCALE_FAST_VERSION;
  rescale_fast::register_confusion(module);
  rescale_fast::register_weight_graph(module);
  rescale_fast::register_class_subset(module);
  rescale_fast::register_class_grouping(module);
  rescale_fast::register_beton(module);
  rescale_fast::register_downsample(module);
  rescale_fast::register_image_header(module);
}
