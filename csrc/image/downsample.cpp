#include "image/downsample.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <new>

#include "core/memory_budget.h"
#include "image/jpeg_header.h"

namespace rescale_fast {
namespace {

constexpr std::int64_t kMaxDecoding = std::int64_t{1} << 28;  // bytes of images that are being decoded at once
constexpr std::int64_t kUnknown = std::int64_t{1} << 26;      // bytes counted for an image of unknown size
constexpr std::size_t kMaxKept = std::size_t{1} << 24;        // bytes that a thread keeps for its next image

struct Size {
  int width, height;
};

// Which part of an image is shown in which part of the square. Numbers as ImageOps computes them, in doubles.
struct Placement {
  Part part;
  int left, top, width, height;
};

Placement place(Size size, const DownsampleOptions& options) {
  const auto [width, height] = size;
  const int side = options.side;
  Placement placed{{0, 0, static_cast<float>(width), static_cast<float>(height)}, 0, 0, side, side};
  if (options.fit == Fit::letterbox) {
    const auto shorter = [&](double part) { return std::max(1, static_cast<int>(std::nearbyint(part * side))); };
    if (width > height) placed.height = shorter(static_cast<double>(height) / width);
    if (height > width) placed.width = shorter(static_cast<double>(width) / height);
    placed.left = static_cast<int>(std::nearbyint((side - placed.width) * 0.5));
    placed.top = static_cast<int>(std::nearbyint((side - placed.height) * 0.5));
  }
  if (options.fit == Fit::fill) {
    const double square = std::min(width, height), left = (width - square) * 0.5, top = (height - square) * 0.5;
    placed.part = {static_cast<float>(left), static_cast<float>(top), static_cast<float>(left + square),
                   static_cast<float>(top + square)};
  }
  return placed;
}

// The smallest decoding scale at which the part still has as many pixels as are wanted of it. Scales that
// libjpeg-turbo has no vector code for are left out: they take longer than decoding more pixels.
int eighths_to_cover(const Placement& placed) {
  for (const int eighths : {1, 2, 4}) {
    const float part = static_cast<float>(eighths) / 8;
    if ((placed.part.right - placed.part.left) * part >= static_cast<float>(placed.width) &&
        (placed.part.bottom - placed.part.top) * part >= static_cast<float>(placed.height)) {
      return eighths;
    }
  }
  return 8;
}

// Pillow's convert("L"): ITU-R 601-2 luma in 16-bit fixed point. Overwrites the front of the pixels.
void make_grey(std::vector<std::uint8_t>& pixels) {
  for (std::size_t i = 0; 3 * i < pixels.size(); ++i) {
    const std::uint8_t* rgb = pixels.data() + 3 * i;
    pixels[i] = static_cast<std::uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
  }
}

// Makes one small image after another; one a thread.
class Downsampler {
 public:
  Downsampler(const DownsampleOptions& options, Patience& patience, const Fallback& fallback)
      : options_(options), patience_(patience), fallback_(fallback), resampler_(options.filter) {}

  // Why it could not be made; nothing if it was. Throws FileError.
  std::string try_make(std::int64_t index, const std::string& path, std::uint8_t* out) {
    try {
      make(index, path, out);
      return {};
    } catch (const ImageError& error) {
      return error.what();
    } catch (const std::bad_alloc&) {
      return "too large for the memory of this machine";
    }
  }

 private:
  void make(std::int64_t index, const std::string& path, std::uint8_t* out) {
    static MemoryBudget decoding(kMaxDecoding);
    const std::vector<std::uint8_t> bytes = read_image_file(path, patience_);
    const JpegHeader header = read_jpeg_header(bytes.data(), bytes.size());
    check_pixels(header.width, header.height, options_.max_pixels);
    // RGB, and as much again for what a progressive file keeps.
    const MemoryBudget::Share share(decoding,
                                    header.width > 0 ? std::int64_t{header.width} * header.height * 6 : kUnknown);
    const bool plain = header.kind == JpegKind::plain;
    if (!plain) image_ = fallback_(index, bytes);
    const Size size = plain ? Size{header.width, header.height} : Size{image_.width, image_.height};
    const Placement placed = place(size, options_);
    const int eighths = plain && options_.fast ? eighths_to_cover(placed) : 8;
    if (plain) decode_jpeg(bytes.data(), bytes.size(), eighths, false, image_);
    if (options_.grey) make_grey(image_.data);
    resampler_.resize(image_.data.data(), size.width, size.height, channels(), 8 / eighths, placed.part, placed.width,
                      placed.height, small_);
    put(placed, out);
    if (image_.data.capacity() > kMaxKept) image_.data = {};
  }

  int channels() const { return options_.grey ? 1 : 3; }

  // From (height, width, channels) to the planes of the square.
  void put(const Placement& placed, std::uint8_t* out) const {
    const std::int64_t side = options_.side, depth = channels();
    const std::uint8_t* from = small_.data();
    for (std::int64_t y = 0; y < placed.height; ++y) {
      const std::int64_t row = placed.top + y;
      std::uint8_t* to = out + row * side + placed.left;
      for (std::int64_t x = 0; x < placed.width; ++x) {
        for (std::int64_t c = 0; c < depth; ++c) to[c * side * side + x] = *from++;
      }
    }
  }

  const DownsampleOptions& options_;
  Patience& patience_;
  const Fallback& fallback_;
  Resampler resampler_;
  Pixels image_;
  Array<std::uint8_t> small_;
};

}  // namespace

std::map<std::int64_t, std::string> downsample_images(const std::string& root, const Array<const char*>& paths,
                                                      const DownsampleOptions& options, Patience& patience,
                                                      const Fallback& fallback, Job& job, std::uint8_t* out) {
  const std::int64_t side = options.side, size = side * side * (options.grey ? 1 : 3);
  std::map<std::int64_t, std::string> reasons;
  std::mutex mutex;  // guards reasons
  job.for_each(paths.size(), [&] {
    return [&, downsampler = Downsampler(options, patience, fallback)](std::int64_t i) mutable {
      std::fill_n(out + i * size, size, std::uint8_t{0});
      const std::string reason = downsampler.try_make(i, root + paths[i], out + i * size);
      if (!reason.empty()) {
        const std::lock_guard<std::mutex> lock(mutex);
        reasons.emplace(i, reason);
      }
      job.advance(1);
    };
  });
  return reasons;
}

}  // namespace rescale_fast
