#include "beton_copy.h"

#include <algorithm>

#include "beton_file.h"
#include "jpeg_codec.h"
#include "jpeg_header.h"
#include "parallel.h"

namespace rescale_fast {
namespace {

constexpr std::int64_t kBlock = std::int64_t{1} << 20;  // bytes a thread copies at a time

// Joins copies that continue one another, and cuts long ones, so that each is about a block.
std::vector<Copy> in_blocks(const std::vector<Copy>& copies) {
  std::vector<Copy> blocks;
  for (Copy copy : copies) {
    while (copy.size > 0) {
      Copy* last = blocks.empty() ? nullptr : &blocks.back();
      const bool continues = last != nullptr && last->source == copy.source && last->size < kBlock &&
                             last->from + last->size == copy.from && last->to + last->size == copy.to;
      const std::int64_t part = std::min(copy.size, continues ? kBlock - last->size : kBlock);
      if (continues) {
        last->size += part;
      } else {
        blocks.push_back({copy.source, copy.from, copy.to, part});
      }
      copy.from += part;
      copy.to += part;
      copy.size -= part;
    }
  }
  return blocks;
}

std::string check_one(int fd, const JpegPlace& place, std::vector<std::uint8_t>& bytes, Pixels& pixels) {
  bytes.resize(static_cast<std::size_t>(place.size));
  if (read_at(fd, bytes.data(), bytes.size(), static_cast<std::uint64_t>(place.pointer)) != bytes.size()) {
    return "ends before its last byte";
  }
  const JpegHeader header = read_jpeg_header(bytes.data(), bytes.size());
  if (header.kind != JpegKind::plain) return "is no JPEG that FFCV decodes";
  for (int eighths = 8; eighths >= 1; --eighths) {
    if ((header.width * eighths + 7) / 8 != place.width || (header.height * eighths + 7) / 8 != place.height) continue;
    try {
      decode_jpeg(bytes.data(), bytes.size(), eighths, true, pixels);
    } catch (const ImageError& error) {
      return std::string("does not decode: ") + error.what();
    }
    return {};
  }
  return "is " + std::to_string(header.width) + " x " + std::to_string(header.height) + " pixels, its record says " +
         std::to_string(place.width) + " x " + std::to_string(place.height);
}

}  // namespace

std::uint64_t place_payloads(const std::int64_t* sizes, std::int64_t num_samples, std::int64_t per_sample,
                             std::uint64_t start, std::uint64_t page_size, std::int64_t* pointers) {
  Placer placer(start, page_size);
  for (std::int64_t i = 0; i < num_samples; ++i) {
    std::uint64_t total = 0;
    for (std::int64_t j = 0; j < per_sample; ++j) total += static_cast<std::uint64_t>(sizes[i * per_sample + j]);
    std::uint64_t at = total > 0 ? placer.place(total) : 0;
    for (std::int64_t j = 0; j < per_sample; ++j) {
      const std::int64_t size = sizes[i * per_sample + j];
      pointers[i * per_sample + j] = size > 0 ? static_cast<std::int64_t>(at) : 0;
      at += static_cast<std::uint64_t>(size);
    }
  }
  return placer.end();
}

bool copy_payloads(int target, std::vector<Copy> copies, int num_threads, const Poll& poll,
                   std::atomic<std::int64_t>& done) {
  const std::vector<Copy> blocks = in_blocks(copies);
  std::vector<Copy>().swap(copies);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stopped{false};
  const auto work = [&](int) {
    std::vector<std::uint8_t> buffer(static_cast<std::size_t>(kBlock));
    for (std::size_t i; !stopped && (i = next++) < blocks.size();) {
      const Copy& block = blocks[i];
      const auto size = static_cast<std::size_t>(block.size);
      if (read_at(block.source, buffer.data(), size, static_cast<std::uint64_t>(block.from)) != size) {
        throw std::system_error(ENODATA, std::generic_category());
      }
      write_at(target, buffer.data(), size, static_cast<std::uint64_t>(block.to));
      done += block.size;
    }
  };
  return run_watched(resolve_threads(num_threads), work, [&] { stopped = true; }, poll);
}

std::map<std::int64_t, std::string> check_payloads(int fd, const std::vector<JpegPlace>& places, int num_threads,
                                                   const Poll& poll, std::atomic<std::int64_t>& done,
                                                   bool& interrupted) {
  std::map<std::int64_t, std::string> reasons;
  std::mutex mutex;
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stopped{false};
  const auto work = [&](int) {
    std::vector<std::uint8_t> bytes;
    Pixels pixels;
    for (std::size_t i; !stopped && (i = next++) < places.size(); ++done) {
      std::string reason = check_one(fd, places[i], bytes, pixels);
      if (reason.empty()) continue;
      const std::lock_guard<std::mutex> lock(mutex);
      reasons.emplace(static_cast<std::int64_t>(i), std::move(reason));
    }
  };
  interrupted = !run_watched(resolve_threads(num_threads), work, [&] { stopped = true; }, poll);
  return reasons;
}

}  // namespace rescale_fast
