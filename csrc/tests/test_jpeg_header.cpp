#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "image/encoded_image.h"
#include "image/jpeg_header.h"
#include "random_bytes.h"

using namespace rescale_fast;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// A marker segment: its length counts its own two bytes.
Bytes segment(std::uint8_t marker, const Bytes& body) {
  const std::size_t length = body.size() + 2;
  return Bytes{0xFF, marker, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)} + body;
}

const Bytes kStart{0xFF, 0xD8}, kEnd{0xFF, 0xD9}, kScanData{0x12, 0xFF, 0x00, 0x34, 0xFF, 0xD0, 0x56};

// ITU-T T.81, B.2.2: bits, height, width, components, and three bytes for each.
Bytes frame(std::uint8_t marker, std::uint8_t bits, int height, int width, std::uint8_t components) {
  Bytes body{bits,
             static_cast<std::uint8_t>(height >> 8),
             static_cast<std::uint8_t>(height),
             static_cast<std::uint8_t>(width >> 8),
             static_cast<std::uint8_t>(width),
             components};
  for (std::uint8_t c = 1; c <= components; ++c) body = body + Bytes{c, 0x11, 0};
  return segment(marker, body);
}

const Bytes kScan = segment(0xDA, {1, 1, 0, 0, 63, 0}) + kScanData;

// EXIF 2.3, 4.6: a TIFF header, and a table of one entry, which is the orientation.
Bytes exif(bool little, std::uint8_t orientation) {
  const Bytes tiff = little ? Bytes{'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0}
                            : Bytes{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0};
  return segment(0xE1, Bytes{'E', 'x', 'i', 'f', 0, 0} + tiff + Bytes{0, 0, 0, 0});
}

JpegHeader read(const Bytes& bytes) {
  // No room behind its end, so that a sanitizer sees each byte that is read too many.
  const auto exact = std::make_unique<std::uint8_t[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), exact.get());
  return read_jpeg_header(exact.get(), bytes.size());
}

}  // namespace

TEST_CASE("frames of each kind are told apart") {
  const auto kind = [](const Bytes& head) { return read(kStart + head + kScan + kEnd).kind; };
  CHECK(kind(frame(0xC0, 8, 300, 500, 3)) == JpegKind::plain);
  CHECK(kind(frame(0xC1, 8, 300, 500, 3)) == JpegKind::plain);
  CHECK(kind(frame(0xC2, 8, 300, 500, 1)) == JpegKind::plain);
  CHECK(kind(frame(0xC0, 8, 300, 500, 4)) == JpegKind::four_components);
  CHECK(kind(frame(0xC0, 8, 300, 500, 2)) == JpegKind::odd);
  CHECK(kind(frame(0xC1, 12, 300, 500, 3)) == JpegKind::odd);
  CHECK(kind(frame(0xC3, 8, 300, 500, 3)) == JpegKind::odd);  // lossless
  CHECK(kind(frame(0xC9, 8, 300, 500, 3)) == JpegKind::odd);  // arithmetic coding
  CHECK(kind(frame(0xC0, 8, 0, 500, 3)) == JpegKind::odd);    // the height follows the scan
  CHECK(kind(segment(0xC4, Bytes(20))) == JpegKind::incomplete);
  CHECK(read(Bytes{'G', 'I', 'F', '8', '9', 'a'}).kind == JpegKind::not_jpeg);
}

TEST_CASE("size and orientation are those of the headers, in either byte order") {
  for (const bool little : {true, false}) {
    for (std::uint8_t orientation = 0; orientation <= 9; ++orientation) {
      const Bytes fill{0xFF, 0xFF};  // markers may be preceded by filling
      const JpegHeader header =
          read(kStart + exif(little, orientation) + fill + frame(0xC0, 8, 300, 500, 3) + kScan + kEnd);
      CHECK(header.kind == JpegKind::plain);
      CHECK(header.width == 500);
      CHECK(header.height == 300);
      CHECK(header.orientation == (orientation >= 1 && orientation <= 8 ? orientation : 1));
    }
  }
}

TEST_CASE("an EXIF segment that is too short for a table says nothing") {
  const Bytes whole = exif(false, 6);
  for (std::size_t size = 4; size + 5 < whole.size();
       ++size) {  // the value's last two bytes and four more are not read
    const Bytes body(whole.begin() + 4, whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(read(kStart + segment(0xE1, body)).orientation == (body.size() < 28 ? 1 : 6));
  }
}

TEST_CASE("a JPEG that was cut anywhere is incomplete, and nothing behind its end is read") {
  const Bytes whole = kStart + exif(true, 6) + frame(0xC0, 8, 300, 500, 3) + kScan + kEnd;
  CHECK(read(whole).kind == JpegKind::plain);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(read(cut).kind == (size < 4 ? JpegKind::not_jpeg : JpegKind::incomplete));
    without_image_data(cut.data(), cut.size());
  }
  CHECK(read(whole + Bytes(9, 0)).kind == JpegKind::plain);  // rubbish behind the end, as cameras leave
}

TEST_CASE("no bytes lead the parsers out of the file") {
  Random random(4);
  for (std::uint64_t trial = 0; trial < 3000; ++trial) {
    Bytes bytes = kStart + exif(trial % 2 == 0, 3) + frame(0xC2, 8, 30, 50, 3) + kScan + kScan + kEnd;
    for (int i = 0; i < 4; ++i) {
      const auto at = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(bytes.size())));
      bytes[at] = static_cast<std::uint8_t>(random.uniform() < 0.5 ? 0xFF : random.below(256));
    }
    const JpegHeader header = read(bytes);
    CHECK(header.orientation >= 1);
    CHECK(header.orientation <= 8);
    const Bytes small = without_image_data(bytes.data(), bytes.size());
    CHECK(small.size() <= bytes.size() + 2);
    int width = 0, height = 0;
    is_plain_image(bytes.data(), bytes.size(), width, height);
  }
}

TEST_CASE("an image without its data has the markers, a size of 8 x 8, and an end") {
  const Bytes tables = segment(0xDB, Bytes(65, 1));
  const Bytes small_frame = frame(0xC0, 8, 8, 8, 3), scan_head = segment(0xDA, {3, 1, 0, 2, 0, 3, 0, 0, 63, 0});
  const Bytes whole = kStart + tables + frame(0xC0, 8, 300, 500, 3) + scan_head + kScanData + kEnd;
  CHECK(without_image_data(whole.data(), whole.size()) == kStart + tables + small_frame + scan_head + kEnd);
}

TEST_CASE("complete still PNGs of 8 bits are plain, and no others") {
  const auto chunk = [](const std::string& name, const Bytes& data) {
    const auto length = static_cast<std::uint8_t>(data.size());
    return Bytes{0, 0, 0, length} + Bytes(name.begin(), name.end()) + data + Bytes(4, 0);
  };
  const auto head = [&](std::uint8_t bits, std::uint8_t interlaced) {
    return Bytes{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'} +
           chunk("IHDR", {0, 0, 1, 0x44, 0, 0, 0, 7, bits, 2, 0, 0, interlaced});
  };
  const auto is_plain = [](const Bytes& bytes) {
    int width = 0, height = 0;
    const bool plain = is_plain_image(bytes.data(), bytes.size(), width, height);
    return plain && width == 324 && height == 7;
  };
  const Bytes data = chunk("IDAT", Bytes(30, 9)), end = chunk("IEND", {});
  CHECK(is_plain(head(8, 0) + data + end));
  CHECK_FALSE(is_plain(head(16, 0) + data + end));
  CHECK_FALSE(is_plain(head(8, 1) + data + end));
  CHECK_FALSE(is_plain(head(8, 0) + chunk("acTL", Bytes(8, 0)) + data + end));
  CHECK_FALSE(is_plain(head(8, 0) + data));
  CHECK_FALSE(is_plain(head(8, 0) + data + Bytes(end.begin(), end.end() - 1)));
}
