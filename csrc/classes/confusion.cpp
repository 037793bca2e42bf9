#include "classes/confusion.h"

#include <algorithm>
#include <cmath>

#include "core/array.h"

namespace rescale_fast {
namespace {

// Fills table (num_cells) by calling add(table, begin, end) for ranges that cover [0, num_images).
// Merging a thread's private table costs num_cells additions, so a thread must have more images than that.
template <typename Add>
void accumulate(std::int64_t num_images, std::int64_t num_cells, Job& job, std::int64_t* table, const Add& add) {
  const std::int64_t worthwhile = std::max<std::int64_t>(1, num_images / num_cells);
  const int threads = job.threads_for(worthwhile);
  std::fill(table, table + num_cells, 0);
  Array<Array<std::int64_t>> scratch(threads - 1);
  job.run(threads, [&](int thread) {
    const std::int64_t begin = num_images * thread / threads, end = num_images * (thread + 1) / threads;
    if (thread == 0) {
      add(table, begin, end);
      return;
    }
    auto& own = scratch[thread - 1];
    own.assign(num_cells, 0);
    add(own.data(), begin, end);
  });
  for (const auto& own : scratch) {
    for (std::int64_t cell = 0; cell < num_cells; ++cell) table[cell] += own[cell];
  }
}

}  // namespace

void count_confusion(const std::int64_t* labels, const std::int64_t* predicted, std::int64_t num_images,
                     std::int64_t num_classes, Job& job, std::int64_t* counts) {
  accumulate(num_images, num_classes * num_classes, job, counts,
             [&](std::int64_t* table, std::int64_t begin, std::int64_t end) {
               for (std::int64_t i = begin; i < end; ++i) ++table[labels[i] * num_classes + predicted[i]];
             });
}

void sum_probabilities(const std::int64_t* labels, const std::int64_t* ids, const double* probabilities,
                       std::int64_t num_images, std::int64_t top, std::int64_t num_classes, Job& job, double* soft) {
  constexpr int kFractionBits = 40;
  const std::int64_t num_cells = num_classes * num_classes;
  Array<std::int64_t> fixed(num_cells);
  accumulate(num_images, num_cells, job, fixed.data(), [&](std::int64_t* table, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::int64_t* row = table + labels[i] * num_classes;
      for (std::int64_t j = i * top; j < (i + 1) * top; ++j) {
        row[ids[j]] += std::llrint(std::ldexp(probabilities[j], kFractionBits));
      }
    }
  });
  for (std::int64_t cell = 0; cell < num_cells; ++cell) {
    soft[cell] = std::ldexp(static_cast<double>(fixed[cell]), -kFractionBits);
  }
}

}  // namespace rescale_fast
