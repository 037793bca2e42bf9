#include "image/jpeg_header.h"

#include <algorithm>
#include <cstring>

namespace rescale_fast {
namespace {

constexpr int kSoi = 0xD8, kEoi = 0xD9, kSos = 0xDA, kApp1 = 0xE1, kDht = 0xC4, kJpg = 0xC8, kDac = 0xCC;
constexpr int kProgressive = 0xC2;

std::size_t big16(const std::uint8_t* p) { return static_cast<std::size_t>(p[0] << 8 | p[1]); }

bool is_in_scan(int marker) { return marker == 0x01 || (marker >= 0xD0 && marker < kSoi); }

bool is_frame(int marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != kDht && marker != kJpg && marker != kDac;
}

// EXIF orientation from an APP1 payload of `size` bytes; 1 when it holds none.
int exif_orientation(const std::uint8_t* data, std::size_t size) {
  if (size < 14 || std::memcmp(data, "Exif\0\0", 6) != 0) return 1;
  const std::uint8_t* tiff = data + 6;
  const std::size_t length = size - 6;
  const bool little = tiff[0] == 'I' && tiff[1] == 'I';
  if (!little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
  const auto u16 = [&](std::size_t at) {
    return static_cast<std::size_t>(little ? tiff[at] | tiff[at + 1] << 8 : tiff[at] << 8 | tiff[at + 1]);
  };
  const std::size_t table = little ? u16(4) | u16(6) << 16 : u16(4) << 16 | u16(6);
  if (table + 2 > length) return 1;
  const std::size_t entries = u16(table);
  for (std::size_t i = 0; i < entries && table + 2 + 12 * (i + 1) <= length; ++i) {
    const std::size_t entry = table + 2 + 12 * i;
    if (u16(entry) != 0x0112) continue;
    const auto value = static_cast<int>(u16(entry + 8));
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

// The place, at or behind `at`, of the next marker that is neither filling nor one that lies within a scan; or size.
std::size_t next_marker(const std::uint8_t* data, std::size_t size, std::size_t at) {
  while (at + 1 < size) {
    const void* found = std::memchr(data + at, 0xFF, size - at - 1);
    if (found == nullptr) return size;
    at = static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - data);
    const int marker = data[at + 1];
    if (marker != 0 && marker != 0xFF && !is_in_scan(marker)) return at;
    at += marker == 0xFF ? 1 : 2;
  }
  return size;
}

// Whether an end-of-image marker follows the scan that starts at `at`.
bool has_end(const std::uint8_t* data, std::size_t size, std::size_t at) {
  // Within a scan 0xFF is always followed by 0 or a marker, so a cut file cannot end like this by chance.
  if (size >= at + 2 && data[size - 2] == 0xFF && data[size - 1] == kEoi) return true;
  for (at = next_marker(data, size, at); at + 2 <= size; at = next_marker(data, size, at)) {
    const int marker = data[at + 1];
    if (marker == kEoi) return true;
    if (marker != kSoi && at + 4 > size) return false;
    at += 2 + (marker == kSoi ? 0 : big16(data + at + 2));
  }
  return false;
}

void read_frame(const std::uint8_t* body, int marker, JpegHeader& header) {
  const int bits = body[0], components = body[5];
  header.height = static_cast<int>(big16(body + 1));
  header.width = static_cast<int>(big16(body + 3));
  if (components == 4) {
    header.kind = JpegKind::four_components;
  } else if (marker > kProgressive || bits != 8 || (components != 1 && components != 3) || header.height == 0 ||
             header.width == 0 || std::max(header.width, header.height) > kMaxJpegSide) {
    header.kind = JpegKind::odd;
  } else {
    header.kind = JpegKind::plain;
  }
}

}  // namespace

JpegHeader read_jpeg_header(const std::uint8_t* data, std::size_t size) {
  JpegHeader header;
  if (size < 4 || data[0] != 0xFF || data[1] != kSoi || data[2] != 0xFF) return header;
  header.kind = JpegKind::incomplete;
  bool framed = false;
  for (std::size_t at = next_marker(data, size, 2); at + 4 <= size; at = next_marker(data, size, at)) {
    const int marker = data[at + 1];
    if (marker == kEoi) break;
    if (marker == kSoi) {
      at += 2;
      continue;
    }
    const std::size_t length = big16(data + at + 2);
    if (length < 2 || at + 2 + length > size) break;
    const std::uint8_t* body = data + at + 4;
    if (marker == kApp1 && header.orientation == 1) header.orientation = exif_orientation(body, length - 2);
    if (is_frame(marker) && !framed) {
      if (length < 8) break;
      read_frame(body, marker, header);
      framed = true;
    }
    at += 2 + length;
    if (marker == kSos) {
      if (!framed || !has_end(data, size, at)) break;
      return header;
    }
  }
  header.kind = JpegKind::incomplete;
  return header;
}

std::vector<std::uint8_t> without_image_data(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> small(data, data + std::min<std::size_t>(size, 2));
  bool progressive = false;
  int components = 0;
  const auto keep = [&](std::size_t begin, std::size_t end) { small.insert(small.end(), data + begin, data + end); };
  for (std::size_t at = next_marker(data, size, 2); at + 2 <= size; at = next_marker(data, size, at)) {
    const int marker = data[at + 1];
    if (marker == kEoi) break;
    if (marker < 0xC0 || marker == kSoi) {  // a reserved one: decoders end here, or skip it
      keep(at, at + 2);
      at += 2;
      continue;
    }
    const std::size_t length = at + 4 <= size ? big16(data + at + 2) : 0;
    if (length < 2 || at + 2 + length > size) {
      keep(at, size);
      break;
    }
    keep(at, at + 2 + length);
    const std::uint8_t* body = data + at + 4;
    at += 2 + length;
    if (is_frame(marker) && length >= 8) {
      progressive = marker == kProgressive;
      components = body[5];
      std::uint8_t* side = small.data() + small.size() - length + 3;  // two bytes each, behind the length and the bits
      side[0] = side[2] = 0;
      side[1] = side[3] = 8;
    }
    if (marker == kSos && !progressive && length > 2 && body[0] >= components) break;
  }
  small.insert(small.end(), {0xFF, kEoi});
  return small;
}

}  // namespace rescale_fast
