#include "image/downsample.h"
#include "bind/choice.h"
#include "bind/work.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;

constexpr Names<Fit, 3> kFits{{{"stretch", Fit::stretch}, {"letterbox", Fit::letterbox}, {"fill", Fit::fill}}};
constexpr Names<Filter, 6> kFilters{{{"nearest", Filter::nearest},
                                     {"box", Filter::box},
                                     {"bilinear", Filter::bilinear},
                                     {"hamming", Filter::hamming},
                                     {"bicubic", Filter::bicubic},
                                     {"lanczos", Filter::lanczos}}};

py::tuple downsample_images_checked(const std::string& root, const std::string& names, std::int64_t count, int side,
                                    const std::string& fit, const std::string& filter, bool grey, bool fast,
                                    std::int64_t max_pixels, int num_threads, const std::vector<double>& waits,
                                    const py::function& load, const py::function& advance) {
  check_range("side", side, 1, 65535);
  check_range("num_threads", num_threads, 0, 1024);
  const DownsampleOptions options{side,      choose("fit", fit, kFits), choose("filter", filter, kFilters), grey, fast,
                                  max_pixels};
  if (fast && options.filter == Filter::nearest) throw py::value_error("fast is not for nearest");
  const Array<const char*> paths = split_names(names, count);
  const Fallback fallback = [&load](std::int64_t index, const std::vector<std::uint8_t>& bytes) {
    return load_in_python(load, index, bytes);
  };
  py::array_t<std::uint8_t> pixels({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(grey ? 1 : 3),
                                    static_cast<py::ssize_t>(side), static_cast<py::ssize_t>(side)});
  std::uint8_t* out = pixels.mutable_data();
  Job job(num_threads);
  Patience patience(waits, job);
  const auto work = [&] { return downsample_images(root, paths, options, patience, fallback, job, out); };
  const auto reasons = run_reported(job, advance, work);
  return py::make_tuple(pixels, reasons_dict(reasons));
}

}  // namespace

void register_downsample(py::module_& module) {
  module.def("downsample_images", &downsample_images_checked, py::kw_only(), "root"_a, "names"_a, "count"_a, "side"_a,
             "fit"_a, "filter"_a, "grey"_a, "fast"_a, "max_pixels"_a, "num_threads"_a, "waits"_a, "load"_a, "advance"_a,
             "Image files to small images of one size. See csrc/image/downsample.h and small/downsample.py.");
}

}  // namespace rescale_fast
