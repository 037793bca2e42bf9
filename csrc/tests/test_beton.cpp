#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include <unistd.h>

#include "beton/block_stream.h"
#include "beton/check.h"
#include "beton/copy.h"
#include "beton/placer.h"
#include "beton/write.h"
#include "core/array.h"
#include "core/file_io.h"
#include "image/downsample.h"
#include "random_bytes.h"

using namespace rescale_fast;

namespace {

// A file that is gone with the program.
class TemporaryFile {
 public:
  TemporaryFile() : fd_(::mkstemp(name_.data())) { REQUIRE(fd_ >= 0); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    ::close(fd_);
    ::unlink(name_.data());
  }
  int fd() const { return fd_; }
  const char* name() const { return name_.data(); }
  std::vector<std::uint8_t> bytes() const {
    std::vector<std::uint8_t> all(static_cast<std::size_t>(::lseek(fd_, 0, SEEK_END)));
    read_whole(fd_, all.data(), all.size(), 0);
    return all;
  }

 private:
  std::array<char, 24> name_{"/tmp/kernel_test_XXXXXX"};
  int fd_;
};

Pixels no_fallback(std::int64_t, const std::vector<std::uint8_t>&) { throw ImageError("no image"); }

// JPEGs of different sizes; the last file is no image.
class Images {
 public:
  Images() : files_(kCount) {
    for (std::size_t i = 0; i < kCount; ++i) {
      paths_.push_back(files_[i].name());
      const int width = 40 + 7 * static_cast<int>(i), height = 90 - 5 * static_cast<int>(i % 7);
      const std::int64_t size = std::int64_t{width} * height * 3;
      const auto bytes =
          i + 1 == kCount ? std::vector<std::uint8_t>(10, 65) : encode_jpeg({width, height, random_bytes(size, i)}, 90);
      write_at(files_[i].fd(), bytes.data(), bytes.size(), 0);
    }
  }
  static constexpr std::size_t kCount = 40;
  const std::vector<const char*>& paths() const { return paths_; }

 private:
  std::vector<TemporaryFile> files_;
  std::vector<const char*> paths_;
};

ImageOptions options_of(Mode mode) {
  ImageOptions options;
  options.mode = mode;
  options.resize_side = 32;
  options.page_size = kDigestBlock;
  options.max_pixels = 1 << 20;
  return options;
}

}  // namespace

TEST_CASE("images are written, digested, copied and checked alike by any number of threads") {
  const Images images;
  for (const Mode mode : {Mode::passthrough, Mode::resize, Mode::raw}) {
    std::vector<std::uint8_t> first;
    for (const int threads : {1, 4}) {
      const TemporaryFile beton, copied;
      Job writing(threads);
      Patience patience({}, writing);
      const Written written = write_images(beton.fd(), "", images.paths(), kDigestBlock, options_of(mode), false,
                                           patience, no_fallback, writing);
      CHECK(writing.done() == Images::kCount);
      CHECK(written.reasons.size() == 1);
      CHECK(written.reasons.count(Images::kCount - 1) == 1);
      const std::vector<std::uint8_t> bytes = beton.bytes();
      if (threads == 1) first = bytes;
      CHECK(bytes == first);

      Job digesting(threads);
      const auto size = static_cast<std::int64_t>(bytes.size());
      Array<Digest> digests = digest_file(beton.fd(), size, digesting);
      CHECK(digesting.done() == size);
      digests.erase(digests.begin());  // of what comes before the images
      digests.resize(written.blocks.size(), digests.back());
      CHECK(std::equal(digests.begin(), digests.end() - 1, written.blocks.begin()));

      Array<Copy> copies;
      Array<JpegPlace> places;
      for (const Stored& stored : written.samples) {
        if (stored.size == 0) continue;
        const auto at = static_cast<std::int64_t>(stored.pointer);
        copies.push_back({beton.fd(), at, at, stored.size});
        places.push_back({at, stored.size, stored.width, stored.height});
      }
      Job copying(threads), checking(threads);
      const std::int64_t end = static_cast<std::int64_t>(kDigestBlock) * (written.blocks.size() + 1);
      CHECK(copy_payloads(copied.fd(), copies, kDigestBlock, end, copying) == written.blocks);
      const BadImages bad = check_payloads(copied.fd(), places, 1 << 20, checking);
      CHECK(static_cast<std::int64_t>(bad.errors.size()) ==
            (mode == Mode::raw ? places.size() : 0));  // which are no JPEGs
      CHECK(bad.warnings.empty());
    }
  }
}

TEST_CASE("a first image that cannot be stored ends the writing where that is asked for") {
  const Images images;
  std::vector<const char*> paths = images.paths();
  std::swap(paths[3], paths.back());
  for (const int threads : {1, 4}) {
    const TemporaryFile beton;
    Job job(threads);
    Patience patience({}, job);
    const Written written =
        write_images(beton.fd(), "", paths, kDigestBlock, options_of(Mode::resize), true, patience, no_fallback, job);
    CHECK(written.reasons.size() == 1);
    CHECK(written.reasons.begin()->first == 3);
  }
}

TEST_CASE("a file that cannot be written to ends the writing, and no thread waits for ever") {
  const Images images;
  std::vector<const char*> many;
  for (int i = 0; i < 20; ++i) many.insert(many.end(), images.paths().begin(), images.paths().end() - 1);
  const int closed = ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // open, but not for writing
  Job job(4);
  Patience patience({}, job);
  CHECK_THROWS_AS(
      write_images(closed, "", many, kDigestBlock, options_of(Mode::passthrough), false, patience, no_fallback, job),
      std::system_error);
  CHECK(job.is_stopped());
  ::close(closed);
}

TEST_CASE("an image whose reader fails ends the writing, and those that wait for its place") {
  const Images images;
  std::vector<const char*> many{images.paths().back()};
  for (int i = 0; i < 20; ++i) many.insert(many.end(), images.paths().begin(), images.paths().end() - 1);
  const TemporaryFile beton;
  Job job(4);
  Patience patience({}, job);
  const Fallback fails = [](std::int64_t, const std::vector<std::uint8_t>&) -> Pixels {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the others are far ahead, and wait
    throw std::logic_error("reader");
  };
  const auto write = [&] {
    write_images(beton.fd(), "", many, kDigestBlock, options_of(Mode::passthrough), false, patience, fails, job);
  };
  CHECK_THROWS_WITH_AS(write(), "reader", std::logic_error);
}

TEST_CASE("small images are the same for any number of threads, and a bad one is named and left black") {
  const Images images;
  DownsampleOptions options;
  options.side = 8;
  options.max_pixels = 1 << 20;
  const std::size_t size = std::size_t{8} * 8 * 3;
  std::vector<std::uint8_t> first;
  for (const int threads : {1, 4}) {
    std::vector<std::uint8_t> pixels(Images::kCount * size, 7);
    Job job(threads);
    Patience patience({}, job);
    const auto reasons = downsample_images("", images.paths(), options, patience, no_fallback, job, pixels.data());
    CHECK(reasons.size() == 1);
    CHECK(reasons.count(Images::kCount - 1) == 1);
    CHECK(std::count(pixels.end() - size, pixels.end(), 0) == size);
    CHECK(job.done() == Images::kCount);
    if (threads == 1) first = pixels;
    CHECK(pixels == first);
  }
}

TEST_CASE("payloads lie one after another, and none across a page") {
  constexpr std::uint64_t kPage = 64;
  Placer placer(kPage, kPage);
  Random random(5);
  std::uint64_t end = kPage;
  for (int i = 0; i < 1000; ++i) {
    const auto size = static_cast<std::uint64_t>(1 + random.below(kPage));
    const std::uint64_t at = placer.place(size);
    CHECK(at / kPage == (at + size - 1) / kPage);
    CHECK((at == end || (at % kPage == 0 && end / kPage != (end + size - 1) / kPage)));
    end = at + size;
    CHECK(placer.end() == end);
  }
}

TEST_CASE("payloads of one sample share a page, and those without bytes have no place") {
  const std::int64_t sizes[] = {30, 20, 10, 10, 0, 0, 0, 15};
  std::int64_t pointers[8] = {};
  place_payloads(sizes, 4, 2, 64, 64, pointers);
  const std::int64_t expected[] = {64, 94, 128, 138, 0, 0, 0, 148};
  CHECK(std::equal(pointers, pointers + 8, expected));
}

TEST_CASE("a stream of pieces gives the blocks of the file that they make") {
  constexpr std::size_t kStart = kDigestBlock, kSize = 10 * kDigestBlock;
  std::vector<std::uint8_t> file(kSize, 0), got(kSize, 0xEE);
  BlockStream stream(kStart);
  std::vector<Block> full;
  Random random(6);
  std::size_t at = kStart;
  const auto write = [&] {
    for (Block& block : full) {
      auto* to = got.data() + block.number * kDigestBlock;
      std::fill_n(to, kDigestBlock, std::uint8_t{0});
      if (!block.empty) std::copy(block.bytes.begin(), block.bytes.end(), to);
      stream.reuse(std::move(block));
    }
    full.clear();
  };
  for (const std::size_t gap : {std::size_t{0}, std::size_t{5}, std::size_t{2} << 20, std::size_t{100}}) {
    const std::vector<std::uint8_t> piece = random_bytes(500'000 + random.below(900'000), at);
    at += gap;
    std::copy(piece.begin(), piece.end(), file.begin() + static_cast<std::ptrdiff_t>(at));
    stream.add(at, piece.data(), piece.size(), full);
    at += piece.size();
    write();
  }
  stream.skip_to(kSize, full);
  write();
  CHECK(std::equal(file.begin() + kStart, file.end(), got.begin() + kStart));
}

TEST_CASE("digests are XXH3-128 in canonical form") {
  const std::string text = "";
  const Digest empty = digest_bytes(reinterpret_cast<const std::uint8_t*>(text.data()), 0);
  const Digest expected{0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8,  // as `xxh128sum` prints it
                        0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
  CHECK(empty == expected);
}
