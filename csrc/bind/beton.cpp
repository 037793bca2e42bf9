#include <algorithm>

#include "beton/check.h"
#include "beton/copy.h"
#include "beton/write.h"
#include "bind/choice.h"
#include "bind/work.h"
#include "core/array.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;

constexpr Names<Mode, 3> kModes{{{"passthrough", Mode::passthrough}, {"resize", Mode::resize}, {"raw", Mode::raw}}};
constexpr Names<ResizeBy, 3> kResizeBy{
    {{"short-side", ResizeBy::short_side}, {"long-side", ResizeBy::long_side}, {"cap", ResizeBy::cap}}};
constexpr Names<How, 13> kHow{{{"original", How::original},
                               {"original_scaled", How::original_scaled},
                               {"resized", How::resized},
                               {"raw", How::raw},
                               {"small_not_jpeg", How::small_not_jpeg},
                               {"not_jpeg", How::not_jpeg},
                               {"four_components", How::four_components},
                               {"odd", How::odd},
                               {"incomplete", How::incomplete},
                               {"over_max_side", How::over_max_side},
                               {"over_page", How::over_page},
                               {"turned", How::turned},
                               {"bad", How::bad}}};

// In the order of their numbers.
py::tuple how_names() {
  py::tuple names(kHow.size());
  for (const auto& [name, how] : kHow) names[static_cast<std::size_t>(how)] = name;
  return names;
}

template <typename T, typename Get>
py::array_t<T> column(const Array<Stored>& samples, Get get) {
  py::array_t<T> values(samples.size());
  T* out = values.mutable_data();
  for (std::int64_t i = 0; i < samples.size(); ++i) out[i] = static_cast<T>(get(samples[i]));
  return values;
}

py::array_t<std::uint8_t> to_array(const Array<Digest>& digests) {
  constexpr std::int64_t kBytes = sizeof(Digest);
  py::array_t<std::uint8_t> array({digests.size(), kBytes});
  const auto* first = reinterpret_cast<const std::uint8_t*>(digests.data());
  std::copy_n(first, array.nbytes(), array.mutable_data());  // unlike memcpy, it may take no bytes from nowhere
  return array;
}

py::dict to_dict(const Written& written) {
  py::dict result;
  const auto& samples = written.samples;
  result["pointer"] = column<std::uint64_t>(samples, [](const Stored& one) { return one.pointer; });
  result["size"] = column<std::uint64_t>(samples, [](const Stored& one) { return one.size; });
  result["width"] = column<std::uint16_t>(samples, [](const Stored& one) { return one.width; });
  result["height"] = column<std::uint16_t>(samples, [](const Stored& one) { return one.height; });
  result["mode"] = column<std::uint8_t>(samples, [](const Stored& one) { return one.raw ? 1 : 0; });
  result["how"] = column<std::uint8_t>(samples, [](const Stored& one) { return one.how; });
  result["reasons"] = reasons_dict(written.reasons);
  result["blocks"] = to_array(written.blocks);
  return result;
}

void check_blocks(const char* name, std::uint64_t value, std::uint64_t low, std::uint64_t high) {
  if (value < low || value > high || value % kDigestBlock != 0) {
    throw py::value_error(message(name, " is ", value, ", expected a multiple of 2^20 in ", low, "..", high));
  }
}

py::dict write_images_checked(int fd, const std::string& root, const std::string& names, std::int64_t count,
                              std::uint64_t start, std::uint64_t page_size, const std::string& mode,
                              const std::string& resize_by, int resize_side, int eighths, int max_side, int quality,
                              bool apply_exif, std::int64_t max_pixels, bool stop_at_bad, int num_threads,
                              const std::vector<double>& waits, const py::function& load, const py::function& advance) {
  check_range("resize_side", resize_side, 1, 65535);
  check_range("eighths", eighths, 1, 8);
  check_range("max_side", max_side, 0, 65535);
  check_range("quality", quality, 1, 100);
  check_range("num_threads", num_threads, 0, 1024);
  check_blocks("page_size", page_size, kDigestBlock, std::uint64_t{1} << 31);
  check_blocks("start", start, 0, std::uint64_t{1} << 62);
  const ImageOptions options{choose("mode", mode, kModes),
                             choose("resize_by", resize_by, kResizeBy),
                             resize_side,
                             eighths,
                             max_side,
                             quality,
                             apply_exif,
                             page_size,
                             max_pixels};
  const Array<const char*> paths = split_names(names, count);
  const Fallback fallback = [&load](std::int64_t index, const std::vector<std::uint8_t>& bytes) {
    return load_in_python(load, index, bytes);
  };
  Job job(num_threads);
  Patience patience(waits, job);
  return to_dict(run_reported(job, advance, [&] {
    return write_images(fd, root, paths, start, options, stop_at_bad, patience, fallback, job);
  }));
}

IdArray place_payloads_checked(const IdArray& sizes, std::uint64_t start, std::uint64_t page_size) {
  check_dimensions(sizes, "sizes", 2);
  check_range("page_size", static_cast<std::int64_t>(page_size), 1, std::int64_t{1} << 32);
  const std::int64_t n = sizes.shape(0), m = sizes.shape(1);
  for (std::int64_t i = 0; i < n; ++i) {
    std::int64_t total = 0;
    for (std::int64_t j = 0; j < m; ++j) {
      check_range("size", sizes.at(i, j), 0, static_cast<std::int64_t>(page_size));
      total += sizes.at(i, j);
    }
    check_range("size of a sample", total, 0, static_cast<std::int64_t>(page_size));
  }
  IdArray pointers({n, m});
  place_payloads(sizes.data(), n, m, start, page_size, pointers.mutable_data());
  return pointers;
}

void check_same_length(const IdArray& a, const IdArray& b, const char* name) {
  check_dimensions(b, name, 1);
  if (a.size() != b.size()) throw py::value_error(message(name, " has ", b.size(), " entries, expected ", a.size()));
}

py::array_t<std::uint8_t> copy_payloads_checked(int target, const IdArray& sources, const IdArray& origins,
                                                const IdArray& targets, const IdArray& sizes, std::uint64_t start,
                                                std::uint64_t end, int num_threads, const py::function& advance) {
  check_dimensions(sources, "sources", 1);
  check_same_length(sources, origins, "origins");
  check_same_length(sources, targets, "targets");
  check_same_length(sources, sizes, "sizes");
  check_range("num_threads", num_threads, 0, 1024);
  check_blocks("start", start, 0, std::uint64_t{1} << 62);
  check_blocks("end", end, start, std::uint64_t{1} << 62);
  Array<Copy> copies(sources.size());
  auto free_from = static_cast<std::int64_t>(start);
  for (py::ssize_t i = 0; i < sources.size(); ++i) {
    check_range("origin", origins.at(i), 0, std::int64_t{1} << 62);
    check_range("size", sizes.at(i), 0, static_cast<std::int64_t>(end));
    check_range("target", targets.at(i), free_from, static_cast<std::int64_t>(end) - sizes.at(i));
    free_from = targets.at(i) + sizes.at(i);
    copies[i] = {static_cast<int>(sources.at(i)), origins.at(i), targets.at(i), sizes.at(i)};
  }
  Job job(num_threads);
  const auto work = [&] {
    return copy_payloads(target, copies, static_cast<std::int64_t>(start), static_cast<std::int64_t>(end), job);
  };
  return to_array(run_reported(job, advance, work));
}

py::array_t<std::uint8_t> digest_file_checked(int fd, std::int64_t size, int num_threads, const py::function& advance) {
  check_range("size", size, 0, std::int64_t{1} << 62);
  check_range("num_threads", num_threads, 0, 1024);
  Job job(num_threads);
  return to_array(run_reported(job, advance, [&] { return digest_file(fd, size, job); }));
}

py::tuple check_payloads_checked(int fd, const IdArray& pointers, const IdArray& sizes, const IdArray& widths,
                                 const IdArray& heights, std::int64_t max_pixels, int num_threads,
                                 const py::function& advance) {
  check_dimensions(pointers, "pointers", 1);
  check_same_length(pointers, sizes, "sizes");
  check_same_length(pointers, widths, "widths");
  check_same_length(pointers, heights, "heights");
  check_range("num_threads", num_threads, 0, 1024);
  Array<JpegPlace> places(pointers.size());
  for (py::ssize_t i = 0; i < pointers.size(); ++i) {
    if (pointers.at(i) < 0) throw py::value_error("negative pointer");
    check_range("size", sizes.at(i), 1, std::int64_t{1} << 32);
    places[i] = {pointers.at(i), sizes.at(i), static_cast<int>(widths.at(i)), static_cast<int>(heights.at(i))};
  }
  Job job(num_threads);
  const BadImages bad = run_reported(job, advance, [&] { return check_payloads(fd, places, max_pixels, job); });
  return py::make_tuple(reasons_dict(bad.errors), reasons_dict(bad.warnings));
}

}  // namespace

void register_beton(py::module_& module) {
  module.def("write_images", &write_images_checked, py::kw_only(), "fd"_a, "root"_a, "names"_a, "count"_a, "start"_a,
             "page_size"_a, "mode"_a, "resize_by"_a, "resize_side"_a, "eighths"_a, "max_side"_a, "quality"_a,
             "apply_exif"_a, "max_pixels"_a, "stop_at_bad"_a, "num_threads"_a, "waits"_a, "load"_a, "advance"_a);
  module.attr("HOW") = how_names();
  module.attr("DIGEST_BLOCK") = kDigestBlock;
  module.def("place_payloads", &place_payloads_checked, "sizes"_a.noconvert(), py::kw_only(), "start"_a, "page_size"_a);
  module.def("copy_payloads", &copy_payloads_checked, py::kw_only(), "target"_a, "sources"_a.noconvert(),
             "origins"_a.noconvert(), "targets"_a.noconvert(), "sizes"_a.noconvert(), "start"_a, "end"_a,
             "num_threads"_a, "advance"_a);
  module.def("digest_file", &digest_file_checked, py::kw_only(), "fd"_a, "size"_a, "num_threads"_a, "advance"_a);
  module.def("check_payloads", &check_payloads_checked, py::kw_only(), "fd"_a, "pointers"_a.noconvert(),
             "sizes"_a.noconvert(), "widths"_a.noconvert(), "heights"_a.noconvert(), "max_pixels"_a, "num_threads"_a,
             "advance"_a);
}

}  // namespace rescale_fast
