// WinogradStep: a 3 x 3 convolution in a plan, where winograd::takes() holds.
#pragma once

#include "engine/memory.h"
#include "engine/requant.h"
#include "engine/step.h"
#include "winograd/winograd.h"

namespace bitwright::winograd {

class WinogradStep final : public Step {
  public:
    // start: of the window of output (0, 0), from element 0 of x. weights i8[O,3,3,I], bias i32[O].
    WinogradStep(Memory& memory, int x, std::int64_t start, int y, const bw_conv_shape& shape,
                 const std::int8_t* weights, const std::int32_t* bias, const Requant& requant)
        : x_(x),
          y_(y),
          start_(start),
          shape_(shape),
          layout_(lay_out(shape)),
          weights_(reinterpret_cast<std::int16_t*>(memory.take(packed_bytes(shape)))),
          bias_(bias, bias + shape.o),
          requant_(requant),
          view_(requant_.view()),
          narrows_(requant.narrows()) {
        pack(shape_, weights, weights_);
    }

    std::string name() const override { return "winograd.avx512vnni"; }
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
        run_avx512vnni(call, first, last, scratch);
    }

  private:
    const int x_, y_;
    const std::int64_t start_;
    const bw_conv_shape shape_;
    const Layout layout_;
    std::int16_t* const weights_;  // in the plan's memory
    const std::vector<std::int32_t> bias_;
    const Requant requant_;
    const bw_requant view_;
    const bool narrows_;
};

}  // namespace bitwright::winograd
