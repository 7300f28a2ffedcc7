// WinogradStep: a 3 x 3 convolution in a plan, where winograd::takes() holds.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>

#include "elementwise/residual.h"
#include "engine/memory.h"
#include "engine/requant.h"
#include "engine/step.h"
#include "winograd/winograd.h"

namespace bitwright::winograd {

class WinogradStep final : public Step {
  public:
    // start: of the window of output (0, 0), from element 0 of x. weights i8[O,3,3,I], bias i32[O]; residual: null
    // where there is none.
    WinogradStep(Memory& memory, int x, std::int64_t start, int y, const bw_conv_shape& shape,
                 const std::int8_t* weights, const std::int32_t* bias, const Requant& requant,
                 std::unique_ptr<const Residual> residual = nullptr)
        : x_(x),
          y_(y),
          start_(start),
          shape_(shape),
          layout_(lay_out(shape)),
          weights_(reinterpret_cast<std::int16_t*>(memory.take(packed_bytes(shape)))),
          bias_(bias, bias + shape.o),
          requant_(requant),
          view_(requant_.view()),
          narrows_(requant.narrows()),
          residual_(std::move(residual)) {
        pack(shape_, weights, weights_);
    }

    std::string name() const override { return "winograd.avx512vnni" + Residual::name_of(residual_.get()); }
    int tasks() const override { return layout_.blocks; }
    std::size_t scratch_bytes() const override { return winograd::scratch_bytes(shape_, layout_); }
    void run(const Run& run, int first, int last, std::byte* scratch) const override {
        const Call call{&shape_,
                        &layout_,
                        weights_,
                        bias_.data(),
                        &view_,
                        narrows_,
                        run.at<const std::uint8_t>(x_) + start_,
                        run.at<std::uint8_t>(y_)};
        if (residual_ == nullptr) return run_avx512vnni(call, first, last, scratch);
        for (int block = first; block < last; ++block) {
            run_avx512vnni(call, block, block + 1, scratch);
            add_residual(run, block);
        }
    }

  private:
    // To the tiles of one block, those of a row together.
    void add_residual(const Run& run, int block) const {
        const std::int32_t end = std::min((block + 1) * layout_.block_tiles, layout_.tiles);
        for (std::int32_t tile = block * layout_.block_tiles; tile < end;) {
            const std::int32_t column = tile % layout_.columns, row = tile / layout_.columns;
            const std::int32_t tiles = std::min(end - tile, layout_.columns - column);
            const std::int32_t y = row % layout_.rows * 4, x = column * 4;
            residual_->run(run, {row / layout_.rows, y, x, std::min(4, shape_.oh - y),
                                 std::min(tiles * 4, shape_.ow - x), 0, shape_.o});
            tile += tiles;
        }
    }

    const int x_, y_;
    const std::int64_t start_;
    const bw_conv_shape shape_;
    const Layout layout_;
    std::int16_t* const weights_;  // in the plan's memory
    const std::vector<std::int32_t> bias_;
    const Requant requant_;
    const bw_requant view_;
    const bool narrows_;
    const std::unique_ptr<const Residual> residual_;
};

}  // namespace bitwright::winograd
