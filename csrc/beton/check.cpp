#include "beton/check.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>

#include "core/file_io.h"
#include "core/memory_budget.h"
#include "image/image_file.h"
#include "image/jpeg_header.h"

namespace rescale_fast {
namespace {

constexpr std::int64_t kMaxAtOnce = std::int64_t{1} << 28;   // bytes, of payloads and of pixels, by all threads
constexpr std::int64_t kMaxPayload = std::int64_t{1} << 29;  // bytes, as of files that are exported
constexpr std::size_t kMaxKept = std::size_t{1} << 24;       // bytes that a thread keeps for its next image

std::string by(int width, int height) { return std::to_string(width) + " x " + std::to_string(height) + " pixels"; }

// At how many eighths of its size readers decode a JPEG, by what its record says.
int eighths_read(const JpegHeader& header, const JpegPlace& place) {
  for (int eighths = 8; eighths >= 1; --eighths) {
    if (scaled(header.width, eighths) == place.width && scaled(header.height, eighths) == place.height) return eighths;
  }
  throw ImageError("is " + by(header.width, header.height) + ", its record says " + by(place.width, place.height));
}

void check_header(const JpegHeader& header, std::int64_t max_pixels) {
  switch (header.kind) {
    case JpegKind::not_jpeg:
      throw ImageError("is no JPEG");
    case JpegKind::four_components:
      throw ImageError("is a CMYK or YCCK JPEG, which FFCV does not decode");
    case JpegKind::odd:
      throw ImageError("is a rare kind of JPEG (12 bits, lossless, arithmetic), which FFCV does not decode");
    case JpegKind::plain:
    case JpegKind::incomplete:  // as far as it goes, it decodes
      break;
  }
  check_pixels(header.width, header.height, max_pixels);
}

// What all threads may hold at once. `payloads` is asked for first, so that nobody who decodes waits for it.
struct Budgets {
  MemoryBudget payloads{kMaxAtOnce}, pixels{kMaxAtOnce};
};

// Checks one image after another; one a thread.
class Checker {
 public:
  Checker(int fd, std::int64_t max_pixels, Budgets& budgets) : fd_(fd), max_pixels_(max_pixels), budgets_(budgets) {}

  // Adds what is wrong with the image at this position, if anything is.
  void check(std::int64_t position, const JpegPlace& place, std::mutex& mutex, BadImages& bad) {
    std::string reason;
    bool is_error = true;
    try {
      reason = decode(place);
      is_error = false;
    } catch (const ImageError& error) {
      reason = error.what();
    } catch (const std::system_error& error) {
      reason = "cannot be read: " + error.code().message();
    } catch (const std::bad_alloc&) {
      reason = "is too large for the memory of this machine";
    }
    shrink(bytes_);
    shrink(pixels_.data);
    if (reason.empty()) return;
    const std::lock_guard<std::mutex> lock(mutex);
    (is_error ? bad.errors : bad.warnings).emplace(position, std::move(reason));
  }

 private:
  // Of what the decoder complains; nothing if it does not. Throws when readers get no image, or another one.
  std::string decode(const JpegPlace& place) {
    if (place.size > kMaxPayload) throw ImageError("takes more than 512 MiB");
    const MemoryBudget::Share payload(budgets_.payloads, place.size);
    bytes_.resize(static_cast<std::size_t>(place.size));
    if (read_at(fd_, bytes_.data(), bytes_.size(), static_cast<std::uint64_t>(place.pointer)) != bytes_.size()) {
      throw ImageError("ends before its last byte");
    }
    const JpegHeader header = read_jpeg_header(bytes_.data(), bytes_.size());
    check_header(header, max_pixels_);
    const int eighths = eighths_read(header, place);
    // RGB, and twice as much for what a progressive file keeps.
    const MemoryBudget::Share pixels(budgets_.pixels, std::int64_t{header.width} * header.height * 9);
    try {
      decode_jpeg(bytes_.data(), bytes_.size(), eighths, true, pixels_);
      return {};
    } catch (const ImageError& complaint) {
      decode_leniently(eighths);
      return complaint.what();
    }
  }

  void decode_leniently(int eighths) {
    try {
      decode_jpeg(bytes_.data(), bytes_.size(), eighths, false, pixels_);
    } catch (const ImageError& error) {
      throw ImageError(std::string("does not decode: ") + error.what());
    }
  }

  static void shrink(std::vector<std::uint8_t>& buffer) {
    if (buffer.capacity() > kMaxKept) std::vector<std::uint8_t>().swap(buffer);
  }

  const int fd_;
  const std::int64_t max_pixels_;
  Budgets& budgets_;
  std::vector<std::uint8_t> bytes_;
  Pixels pixels_;
};

}  // namespace

Array<Digest> digest_file(int fd, std::int64_t size, Job& job) {
  constexpr auto kBlock = static_cast<std::int64_t>(kDigestBlock);
  Array<Digest> blocks((size + kBlock - 1) / kBlock);
  job.for_each(blocks.size(), [&] {
    return [&, buffer = std::vector<std::uint8_t>(kDigestBlock)](std::int64_t i) mutable {
      const std::int64_t at = i * kBlock, part = std::min(kBlock, size - at);
      read_whole(fd, buffer.data(), static_cast<std::size_t>(part), static_cast<std::uint64_t>(at));
      blocks[i] = digest_bytes(buffer.data(), static_cast<std::size_t>(part));
      job.advance(part);
    };
  });
  return blocks;
}

BadImages check_payloads(int fd, const Array<JpegPlace>& places, std::int64_t max_pixels, Job& job) {
  BadImages bad;
  std::mutex mutex;
  Budgets budgets;
  job.for_each(places.size(), [&] {
    return [&, checker = Checker(fd, max_pixels, budgets)](std::int64_t i) mutable {
      checker.check(i, places[i], mutex, bad);
      job.advance(1);
    };
  });
  return bad;
}

}  // namespace rescale_fast
