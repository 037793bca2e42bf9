#include "beton_check.h"

#include <algorithm>

#include "beton_file.h"
#include "jpeg_codec.h"
#include "jpeg_header.h"
#include "parallel.h"

namespace rescale_fast {
namespace {

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

std::vector<Digest> digest_file(int fd, std::int64_t size, int num_threads, const Poll& poll,
                                std::atomic<std::int64_t>& done, bool& interrupted) {
  constexpr auto kBlock = static_cast<std::int64_t>(kDigestBlock);
  std::vector<Digest> blocks(static_cast<std::size_t>((size + kBlock - 1) / kBlock));
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stopped{false};
  const auto work = [&](int) {
    std::vector<std::uint8_t> buffer(static_cast<std::size_t>(kBlock));
    for (std::size_t i; !stopped && (i = next++) < blocks.size();) {
      const std::int64_t at = static_cast<std::int64_t>(i) * kBlock;
      const auto part = static_cast<std::size_t>(std::min(kBlock, size - at));
      read_whole(fd, buffer.data(), part, static_cast<std::uint64_t>(at));
      blocks[i] = digest_bytes(buffer.data(), part);
      done += static_cast<std::int64_t>(part);
    }
  };
  interrupted = !run_watched(resolve_threads(num_threads), work, [&] { stopped = true; }, poll);
  return blocks;
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
