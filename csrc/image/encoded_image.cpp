#include "image/encoded_image.h"

#include <algorithm>
#include <cstring>

#include "image/jpeg_header.h"

namespace rescale_fast {
namespace {

constexpr std::size_t kChunkFrame = 12;  // bytes of a PNG's chunk around its data: length, name, checksum
constexpr std::uint8_t kPngStart[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

std::size_t big32(const std::uint8_t* p) {
  return static_cast<std::size_t>(p[0]) << 24 | static_cast<std::size_t>(p[1]) << 16 |
         static_cast<std::size_t>(p[2]) << 8 | static_cast<std::size_t>(p[3]);
}

bool is_png(const std::uint8_t* data, std::size_t size) {
  return size >= sizeof kPngStart && std::equal(std::begin(kPngStart), std::end(kPngStart), data);
}

// Of IHDR's 13 bytes: size, bits, colours, compression, filter, interlacing.
bool is_plain_png_header(const std::uint8_t* header, int& width, int& height) {
  const std::size_t w = big32(header), h = big32(header + 4);
  constexpr std::size_t kLargest = 1 << 24;
  if (w == 0 || h == 0 || w > kLargest || h > kLargest) return false;
  width = static_cast<int>(w);
  height = static_cast<int>(h);
  return header[8] == 8 && header[10] == 0 && header[11] == 0 && header[12] == 0;
}

bool is_plain_png(const std::uint8_t* data, std::size_t size, int& width, int& height) {
  bool first = true;
  for (std::size_t at = sizeof kPngStart; at + kChunkFrame <= size; first = false) {
    const std::size_t length = big32(data + at);
    const std::uint8_t* name = data + at + 4;
    const auto is = [name](const char* other) { return std::memcmp(name, other, 4) == 0; };
    if (length > size - at - kChunkFrame) return false;
    if (first && (!is("IHDR") || length != 13 || !is_plain_png_header(name + 4, width, height))) return false;
    if (is("acTL") || is("fcTL") || is("fdAT")) return false;  // animated: readers disagree on the frame
    if (is("IEND")) return !first;
    at += kChunkFrame + length;
  }
  return false;
}

}  // namespace

bool is_plain_image(const std::uint8_t* data, std::size_t size, int& width, int& height) {
  if (is_png(data, size)) return is_plain_png(data, size, width, height);
  const JpegHeader header = read_jpeg_header(data, size);
  width = header.width;
  height = header.height;
  return header.kind == JpegKind::plain;
}

EncodedImage read_encoded_image(const std::string& path) {
  EncodedImage image{ask_for_file(path)};
  image.is_plain = is_plain_image(image.bytes.data(), image.bytes.size(), image.width, image.height);
  if (!image.is_plain) image.width = image.height = 0;
  return image;
}

}  // namespace rescale_fast
