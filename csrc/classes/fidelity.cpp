#include "classes/fidelity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "classes/selection.h"

namespace rescale_fast {
namespace {

using Classes = std::vector<std::int64_t>;

// A set of k classes, and the sums that its value is made of, kept up to date by swap: judging a swap costs `rank`
// additions, and a look-up in the graph.
class FidelityChoice {
 public:
  FidelityChoice(const FidelityAim& aim, const Classes& classes)
      : aim_(aim),
        residual_(aim.model.rank(), 0.0),
        confused_(aim.graph, aim.confusion > 0 ? classes : Classes{}),
        inside_(classes) {
    std::vector<bool> is_inside(aim.model.num_classes(), false);
    for (const std::int64_t c : classes) {
      is_inside[static_cast<std::size_t>(c)] = true;
      add(static_cast<std::size_t>(c), 1.0);
    }
    for (std::size_t c = 0; c < is_inside.size(); ++c) {
      if (!is_inside[c]) outside_.push_back(static_cast<std::int64_t>(c));
    }
    value_ = value_of(load_, specific_, squared(nullptr, nullptr), confused_.value());
  }

  const Classes& inside() const { return inside_; }
  const Classes& outside() const { return outside_; }
  double value() const { return value_; }

  // What the value would be with the i-th of those outside in place of the j-th of those inside.
  double value_after(std::size_t i, std::size_t j) const {
    const std::int64_t in = outside_[i], out = inside_[j];
    const auto a = static_cast<std::size_t>(in), b = static_cast<std::size_t>(out);
    const FidelityModel& model = aim_.model;
    const double confused =
        aim_.confusion > 0 ? confused_.value() + confused_.gain(in) - confused_.gain(out) - aim_.graph.between(in, out)
                           : 0.0;
    return value_of(load_ + model.loading(a) - model.loading(b), specific_ + model.specific(a) - model.specific(b),
                    squared(model.residual(a), model.residual(b)), confused);
  }

  void swap(std::size_t i, std::size_t j, double value) {
    const std::int64_t in = outside_[i], out = inside_[j];
    add(static_cast<std::size_t>(out), -1.0);
    add(static_cast<std::size_t>(in), 1.0);
    if (aim_.confusion > 0) {
      confused_.drop(out);
      confused_.add(in);
    }
    std::swap(outside_[i], inside_[j]);
    value_ = value;
  }

 private:
  void add(std::size_t c, double sign) {
    load_ += sign * aim_.model.loading(c);
    specific_ += sign * aim_.model.specific(c);
    const double* residual = aim_.model.residual(c);
    for (std::size_t r = 0; r < residual_.size(); ++r) residual_[r] += sign * residual[r];
  }
  double squared(const double* in, const double* out) const {
    double sum = 0;
    for (std::size_t r = 0; r < residual_.size(); ++r) {
      const double at = in == nullptr ? residual_[r] : residual_[r] + in[r] - out[r];
      sum += at * at;
    }
    return sum;
  }
  double value_of(double load, double specific, double squared_residual, double confused) const {
    return aim_.fidelity * aim_.model.fidelity(load, specific, squared_residual) + aim_.confusion * confused;
  }

  const FidelityAim& aim_;
  double load_ = 0, specific_ = 0, value_ = 0;
  std::vector<double> residual_;  // (rank)
  Selection confused_;            // empty where confusion does not count
  Classes inside_, outside_;
};

Classes random_classes(std::size_t n, std::int64_t k, Random& random) {
  Classes all(n);
  for (std::size_t c = 0; c < n; ++c) all[c] = static_cast<std::int64_t>(c);
  for (std::size_t i = 0; i < static_cast<std::size_t>(k); ++i) {
    std::swap(all[i], all[i + static_cast<std::size_t>(random.below(static_cast<std::int64_t>(n - i)))]);
  }
  all.resize(static_cast<std::size_t>(k));
  return all;
}

class FidelityChain {
 public:
  FidelityChain(const FidelityAim& aim, const Classes& start, std::uint64_t seed, int number)
      : choice_(aim, start), random_(seed), number_(number) {}

  SearchResult run(std::int64_t moves, SearchWatch& watch) {
    best_ = {choice_.inside(), choice_.value()};
    if (choice_.outside().empty()) return best_;
    const double scale = usual_change();
    double temperature = kHottest * scale;
    for (std::int64_t move = 0; move < moves; ++move) {
      if (move % kStride == 0) {
        if (watch.is_over(number_)) break;
        watch.job.advance(std::min(kStride, moves - move));
        const double share = static_cast<double>(move) / static_cast<double>(moves);
        temperature = scale * kHottest * std::pow(kColdest / kHottest, share);
      }
      try_swap(temperature, watch);
    }
    return best_;
  }

 private:
  static constexpr std::int64_t kStride = 4096;
  static constexpr double kHottest = 1, kColdest = 1e-5;  // fidelity is nearly 1 at the end, where changes are tiny

  std::size_t draw(const Classes& classes) {
    return static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(classes.size())));
  }

  // By how much a swap at random changes the value, on average.
  double usual_change() {
    constexpr int kDraws = 256;
    double sum = std::numeric_limits<double>::min();
    for (int i = 0; i < kDraws; ++i) {
      const std::size_t in = draw(choice_.outside()), out = draw(choice_.inside());
      sum += std::abs(choice_.value_after(in, out) - choice_.value());
    }
    return sum / kDraws;
  }

  void try_swap(double temperature, SearchWatch& watch) {
    const std::size_t in = draw(choice_.outside()), out = draw(choice_.inside());
    const double value = choice_.value_after(in, out), change = value - choice_.value();
    if (change < 0 && random_.uniform() >= std::exp(change / temperature)) return;
    choice_.swap(in, out, value);
    if (value <= best_.value) return;
    best_ = {choice_.inside(), value};
    watch.found(value, number_);
  }

  FidelityChoice choice_;
  Random random_;
  int number_;
  SearchResult best_;
};

void swap_to_local_optimum(FidelityChoice& choice, const Job& job) {
  constexpr double kNoise = 1e-12;  // a smaller gain, as a share of the value, may be rounding
  for (bool improved = true; improved && !job.is_stopped();) {
    improved = false;
    double best = choice.value() + kNoise * std::abs(choice.value());
    std::size_t in = 0, out = 0;
    for (std::size_t j = 0; j < choice.inside().size(); ++j) {
      for (std::size_t i = 0; i < choice.outside().size(); ++i) {
        const double value = choice.value_after(i, j);
        if (value <= best) continue;
        best = value;
        in = i;
        out = j;
        improved = true;
      }
    }
    if (improved) choice.swap(in, out, best);
  }
}

}  // namespace

FidelityModel::FidelityModel(std::vector<double> loadings, std::vector<double> specific, std::vector<double> residuals)
    : loadings_(std::move(loadings)),
      specific_(std::move(specific)),
      residuals_(std::move(residuals)),
      rank_(residuals_.size() / loadings_.size()) {
  for (const double loading : loadings_) total_loading_ += loading;
  for (const double specific_of_one : specific_) total_specific_ += specific_of_one;
}

double FidelityModel::fidelity(double load, double specific, double squared_residual) const {
  const double share = load / total_loading_;
  const double of_specific = (1 - 2 * share) * specific + share * share * total_specific_;
  const double noise = squared_residual + std::max(0.0, of_specific);
  return load * std::abs(load) / (load * load + noise + std::numeric_limits<double>::min());
}

double FidelityModel::fidelity(const Classes& classes) const {
  double load = 0, specific = 0, squared = 0;
  for (const std::int64_t c : classes) load += loading(static_cast<std::size_t>(c));
  for (const std::int64_t c : classes) specific += this->specific(static_cast<std::size_t>(c));
  for (std::size_t r = 0; r < rank_; ++r) {
    double sum = 0;
    for (const std::int64_t c : classes) sum += residual(static_cast<std::size_t>(c))[r];
    squared += sum * sum;
  }
  return fidelity(load, specific, squared);
}

double FidelityAim::value(const Classes& classes) const {
  return fidelity * model.fidelity(classes) + (confusion > 0 ? confusion * graph.value(classes) : 0.0);
}

SearchResult search_fidelity(const FidelityAim& aim, std::int64_t k, const std::vector<Classes>& starts,
                             const FidelitySettings& settings, SearchWatch& watch) {
  std::vector<SearchResult> results(static_cast<std::size_t>(settings.num_chains));
  const auto run = [&](std::int64_t number) {
    const auto i = static_cast<std::size_t>(number);
    const int chain = static_cast<int>(number);
    Random random(settings.seed * 0x9e3779b97f4a7c15ULL + static_cast<std::uint64_t>(number));
    const Classes start = i < starts.size() ? starts[i] : random_classes(aim.model.num_classes(), k, random);
    const SearchResult found = FidelityChain(aim, start, random.bits(), chain).run(settings.chain_moves, watch);
    FidelityChoice polished(aim, found.classes);
    swap_to_local_optimum(polished, watch.job);
    results[i] = {polished.inside(), 0};
  };
  watch.job.for_each(settings.num_chains, [&] { return run; });
  for (const Classes& start : starts) results.push_back({start, 0});
  SearchResult best;
  for (SearchResult& result : results) {  // those of chains that did not begin are empty
    if (result.classes.empty()) continue;
    std::sort(result.classes.begin(), result.classes.end());
    result.value = aim.value(result.classes);
    if (best.classes.empty() || result.value > best.value) best = result;
  }
  return best;
}

}  // namespace rescale_fast
