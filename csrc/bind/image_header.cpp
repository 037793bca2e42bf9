#include "bind/work.h"
#include "image/encoded_image.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;

// Hands the bytes over to NumPy without a copy.
py::array_t<std::uint8_t> to_array(std::vector<std::uint8_t>&& bytes) {
  auto* owned = new std::vector<std::uint8_t>(std::move(bytes));
  const py::capsule owner(owned, [](void* kept) { delete static_cast<std::vector<std::uint8_t>*>(kept); });
  return py::array_t<std::uint8_t>(static_cast<py::ssize_t>(owned->size()), owned->data(), owner);
}

py::list read_encoded_images(const std::string& names, std::int64_t count) {
  const Array<const char*> paths = split_names(names, count);
  Array<EncodedImage> images;
  images.reserve(paths.size());
  {
    const py::gil_scoped_release nogil;
    for (const char* path : paths) images.push_back(read_encoded_image(path));
  }
  py::list found;
  for (EncodedImage& image : images) {
    found.append(py::make_tuple(to_array(std::move(image.bytes)), image.error, image.fault, image.is_plain, image.width,
                                image.height));
  }
  return found;
}

}  // namespace

void register_image_header(py::module_& module) {
  module.def("read_encoded_images", &read_encoded_images, "names"_a, py::kw_only(), "count"_a,
             "Files' bytes, unchanged, and what their headers say. See csrc/image/encoded_image.h.");
}

}  // namespace rescale_fast
