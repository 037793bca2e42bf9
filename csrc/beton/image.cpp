#include "beton/image.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "core/memory_budget.h"
#include "image/jpeg_header.h"
#include "image/jpeg_planes.h"
#include "image/resize.h"

namespace rescale_fast {
namespace {

constexpr std::int64_t kMaxDecoding = std::int64_t{1} << 28;  // bytes of images that are being decoded at once
constexpr std::int64_t kUnknown = std::int64_t{1} << 26;      // bytes counted for an image of unknown size
constexpr int kMaxSide = 65535;                               // what a record can hold
constexpr std::size_t kSmall = std::size_t{1} << 16;          // bytes of pixels that are kept rather than encoded

struct Size {
  int width, height;
  int longer() const { return std::max(width, height); }
};

int rounded(double value) {
  return static_cast<int>(std::lround(std::clamp<double>(value, 1, std::numeric_limits<int>::max())));
}

Size scaled_to(Size size, int from, int to) {
  const double ratio = static_cast<double>(to) / from;
  return {rounded(size.width * ratio), rounded(size.height * ratio)};
}

Size resized(Size size, const ImageOptions& options) {
  const int side = options.resize_side;
  switch (options.resize_by) {
    case ResizeBy::short_side:
      return scaled_to(size, std::min(size.width, size.height), side);
    case ResizeBy::long_side:
      return scaled_to(size, size.longer(), side);
    case ResizeBy::cap:
      break;
  }
  const double ratio = static_cast<double>(side) / size.longer();
  if (ratio >= 1) return size;
  return {std::max(1, static_cast<int>(ratio * size.width)), std::max(1, static_cast<int>(ratio * size.height))};
}

// What an upright image of this size is stored as, before any limit.
Size wanted_size(Size size, const ImageOptions& options) {
  if (options.mode == Mode::resize) return resized(size, options);
  if (options.mode == Mode::raw) return size;
  return {scaled(size.width, options.eighths), scaled(size.height, options.eighths)};
}

int side_limit(const ImageOptions& options) {
  const int most = options.mode == Mode::raw ? kMaxSide : kMaxJpegSide;
  return options.max_side > 0 ? std::min(options.max_side, most) : most;
}

// The smallest decoding scale that still covers the target. Scales that libjpeg-turbo has no vector code for are
// left out: they take longer than decoding more pixels.
int eighths_to_cover(Size size, Size target) {
  for (const int eighths : {1, 2, 4}) {
    if (scaled(size.width, eighths) >= target.width && scaled(size.height, eighths) >= target.height) return eighths;
  }
  return 8;
}

// The largest part of its size, in eighths and at most options.eighths, at which a JPEG keeps to the limit; 0 = none.
int eighths_within_limit(Size size, const ImageOptions& options) {
  int eighths = options.eighths;
  while (eighths > 0 && scaled(size.longer(), eighths) > side_limit(options)) --eighths;
  return eighths;
}

How how_by_kind(JpegKind kind) {
  switch (kind) {
    case JpegKind::not_jpeg:
      return How::not_jpeg;
    case JpegKind::four_components:
      return How::four_components;
    case JpegKind::odd:
      return How::odd;
    case JpegKind::incomplete:
      return How::incomplete;
    case JpegKind::plain:
      break;
  }
  return How::original;
}

// Resizes, turns and stores pixels that stand for an image; shrinks further what no page can hold.
void store(Pixels image, Size target, int orientation, const ImageOptions& options, Payload& payload) {
  for (;;) {
    if (image.width != target.width || image.height != target.height) {
      image = resize_rgb(image, target.width, target.height);
    }
    image = turn_upright(std::move(image), orientation);
    orientation = 1;
    payload.width = image.width;
    payload.height = image.height;
    // What was no JPEG has been lossless, as a rule, and stays so where that is cheap.
    const bool small = options.mode == Mode::passthrough && payload.how == How::not_jpeg && image.data.size() <= kSmall;
    payload.raw = small || (options.mode == Mode::raw && image.data.size() <= options.page_size);
    if (payload.raw) {
      if (small) payload.how = How::small_not_jpeg;
      payload.bytes = std::move(image.data);
      return;
    }
    payload.bytes = encode_jpeg(image, options.quality);
    if (options.mode == Mode::raw) payload.how = How::over_page;
    if (payload.bytes.size() <= options.page_size) return;
    payload.how = How::over_page;
    target = {std::max(1, image.width / 2), std::max(1, image.height / 2)};
  }
}

void convert(std::int64_t index, std::vector<std::uint8_t>& bytes, const JpegHeader& header,
             const ImageOptions& options, const Fallback& fallback, Payload& payload) {
  static MemoryBudget decoding(kMaxDecoding);
  // RGB, and as much again for what a progressive file keeps or a resized copy takes.
  const std::int64_t needed = header.width > 0 ? std::int64_t{header.width} * header.height * 6 : kUnknown;
  const MemoryBudget::Share share(decoding, needed);
  Pixels image;
  Size size{header.width, header.height};
  const int orientation = options.apply_exif && header.kind == JpegKind::plain ? header.orientation : 1;
  if (header.kind != JpegKind::plain) {
    image = fallback(index, bytes);
    check_pixels(image.width, image.height, options.max_pixels);
    size = {image.width, image.height};
  }
  const Size upright = orientation >= 5 ? Size{size.height, size.width} : size;
  Size target = wanted_size(upright, options);
  if (target.longer() > side_limit(options)) {
    target = scaled_to(target, target.longer(), side_limit(options));
    if (payload.how == How::original) payload.how = How::over_max_side;
  }
  check_pixels(target.width, target.height, options.max_pixels);
  if (orientation >= 5) std::swap(target.width, target.height);
  if (payload.how == How::original) {
    if (options.mode == Mode::resize) payload.how = How::resized;
    if (options.mode == Mode::raw) payload.how = How::raw;
    if (options.mode == Mode::passthrough) payload.how = orientation > 1 ? How::turned : How::over_page;
  }
  if (header.kind == JpegKind::plain) {
    const int eighths = eighths_to_cover(size, target);
    if (options.mode != Mode::raw && orientation == 1) {
      payload.bytes = resize_jpeg(bytes.data(), bytes.size(), eighths, target.width, target.height, options.quality);
      payload.width = target.width;
      payload.height = target.height;
      if (!payload.bytes.empty() && payload.bytes.size() <= options.page_size) return;
    }
    decode_jpeg(bytes.data(), bytes.size(), eighths, false, image);
  }
  store(std::move(image), target, orientation, options, payload);
}

}  // namespace

Payload make_payload(std::int64_t index, const std::string& path, const ImageOptions& options, Patience& patience,
                     const Fallback& fallback) {
  Payload payload;
  try {
    std::vector<std::uint8_t> bytes = read_image_file(path, patience);
    const JpegHeader header = read_jpeg_header(bytes.data(), bytes.size());
    check_pixels(header.width, header.height, options.max_pixels);
    payload.how = how_by_kind(header.kind);
    const int eighths = eighths_within_limit({header.width, header.height}, options);
    const bool turn = options.apply_exif && header.orientation > 1;
    const bool as_it_is = header.kind == JpegKind::plain && options.mode == Mode::passthrough && !turn && eighths > 0 &&
                          bytes.size() <= options.page_size;
    // FFCV serves the image before for one that its decoder does not begin.
    if (as_it_is && is_decodable(bytes.data(), bytes.size())) {
      if (eighths < options.eighths) payload.how = How::original_scaled;
      payload.width = scaled(header.width, eighths);
      payload.height = scaled(header.height, eighths);
      payload.bytes = std::move(bytes);
    } else {
      if (as_it_is) payload.how = How::odd;
      convert(index, bytes, header, options, fallback, payload);
    }
  } catch (const ImageError& error) {
    payload = Payload{};
    payload.reason = error.what();
  } catch (const std::bad_alloc&) {
    payload = Payload{};
    payload.reason = "too large for the memory of this machine";
  }
  return payload;
}

}  // namespace rescale_fast
