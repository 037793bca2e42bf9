// One image file to the bytes that a beton stores for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image/image_file.h"

namespace rescale_fast {

enum class Mode : std::uint8_t { passthrough, resize, raw };
enum class ResizeBy : std::uint8_t { short_side, long_side, cap };

// How a sample was stored.
enum class How : std::uint8_t {
  original,
  original_scaled,  // with a record that makes readers decode it at n/8 of its size
  resized,
  raw,
  small_not_jpeg,  // its pixels, in passthrough
  not_jpeg,
  four_components,
  odd,
  incomplete,
  over_max_side,
  over_page,
  turned,
  bad,
};

struct ImageOptions {
  Mode mode = Mode::passthrough;
  ResizeBy resize_by = ResizeBy::short_side;
  int resize_side = 256;  // pixels
  int eighths = 8;        // passthrough: the size that readers decode to, 1..8
  int max_side = 0;       // pixels of a side as readers see it; 0 = no limit
  int quality = 90;
  bool apply_exif = false;
  std::uint64_t page_size = 0;
  std::int64_t max_pixels = 0;  // images of more are refused
};

struct Payload {
  std::vector<std::uint8_t> bytes;
  int width = 0;  // as the record names them
  int height = 0;
  bool raw = false;
  How how = How::bad;
  std::string reason;  // when bad
};

// What is wrong with the file is in Payload::reason. Throws FileError when it could not be had.
Payload make_payload(std::int64_t index, const std::string& path, const ImageOptions& options, Patience& patience,
                     const Fallback& fallback);

}  // namespace rescale_fast
