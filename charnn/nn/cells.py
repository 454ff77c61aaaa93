"""The cells as trainable PyTorch modules. Equations and tensors: the files of ``charnn.cells``.

Where PyTorch has a fused kernel for a whole window it is used: cuDNN's for all that ``torch.nn``
has, oneDNN's for the LSTM. The others do here by hand what such a kernel does. Forward, the
products with the input come in one piece for the whole window, before the loop. Backward, the loop
holds only what each step needs of the next: factors that do not depend on it are made beforehand
for the whole window, and the weights' gradients afterwards, in one product each. What is added to
step after step (a GRU's h, a peephole's c) stays in full precision, whatever the products are in.

All take ``x_BTI`` and a state (arrays [B, H], h first) and return outputs [B, T, H] and a state.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from charnn.cells import CELLS

#: A layer's state; in a stack those of all layers, in the order of the NumPy stack.
State = tuple[Tensor, ...]


def _full_precision() -> torch.autocast:
    """Around cuDNN's kernels: autocast would run them in float16, whatever it was told."""
    return torch.autocast("cuda", enabled=False)


class LSTM(nn.LSTM):
    """``charnn.cells.lstm.LSTM``, fused."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, batch_first=True)

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:  # type: ignore[override]
        """Run a window."""
        given = state[0][None], state[1][None]
        if x_BTI.is_cuda:
            with _full_precision():
                outputs_BTH, (hidden_1BH, cell_1BH) = super().forward(x_BTI.float(), given)
        else:
            outputs_BTH, (hidden_1BH, cell_1BH) = super().forward(x_BTI, given)
        return outputs_BTH, (hidden_1BH[0], cell_1BH[0])


def _unroll(
    function: type[torch.autograd.Function],
    x_BTI: Tensor,
    state: State,
    weight_ih: Tensor,
    bias: Tensor,
    *recurrent: Tensor | bool,
) -> tuple[Tensor, State]:
    """Run a window through a loop that is written here."""
    # Time comes first, so that each step's share lies in one piece.
    x_TBI = x_BTI.transpose(0, 1).contiguous()
    projected_TBG = nn.functional.linear(x_TBI, weight_ih, bias)
    # Under autocast the products are in half precision; so are then the loop's.
    dtype = projected_TBG.dtype
    recurrent = tuple(w.to(dtype) if isinstance(w, Tensor) else w for w in recurrent)
    outputs_TBH, *after = function.apply(projected_TBG, *state, *recurrent)  # type: ignore[no-untyped-call]
    return outputs_TBH.transpose(0, 1), tuple(after)


class _ElmanFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected_TBH: Tensor, hidden_BH: Tensor, W_hh: Tensor, relu: bool
    ) -> tuple[Tensor, Tensor]:
        T, B, H = projected_TBH.shape
        outputs_TBH = projected_TBH.new_empty(T + 1, B, H)
        outputs_TBH[0] = hidden_BH
        for t in range(T):
            h = torch.addmm(projected_TBH[t], outputs_TBH[t], W_hh.T, out=outputs_TBH[t + 1])
            _ = h.relu_() if relu else h.tanh_()
        ctx.save_for_backward(outputs_TBH, W_hh)
        ctx.relu = relu
        return outputs_TBH[1:], outputs_TBH[T].to(hidden_BH.dtype, copy=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs_TBH: Tensor, d_hidden_BH: Tensor) -> Any:
        outputs_TBH, W_hh = ctx.saved_tensors
        h_TBH = outputs_TBH[1:]
        slope_TBH = (h_TBH > 0).to(h_TBH.dtype) if ctx.relu else 1 - h_TBH**2
        da_TBH = torch.empty_like(slope_TBH)
        dh = d_hidden_BH.to(W_hh.dtype)
        for t in reversed(range(len(h_TBH))):
            torch.mul(dh + d_outputs_TBH[t], slope_TBH[t], out=da_TBH[t])
            dh = da_TBH[t] @ W_hh
        return da_TBH, dh.to(d_hidden_BH.dtype), _outer(da_TBH, outputs_TBH[:-1]), None


class Elman(nn.RNN):
    """``charnn.cells.elman.Elman``: fused on a GPU; a CPU has no kernel for it, and loops here."""

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, inputs: int, hidden: int, nonlinearity: str = "tanh") -> None:
        super().__init__(inputs, hidden, nonlinearity=nonlinearity, batch_first=True)

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:  # type: ignore[override]
        """Run a window."""
        if x_BTI.is_cuda:
            with _full_precision():
                outputs_BTH, hidden_1BH = super().forward(x_BTI.float(), state[0][None])
            return outputs_BTH, (hidden_1BH[0],)
        relu = self.nonlinearity == "relu"
        bias = self.bias_ih_l0 + self.bias_hh_l0
        return _unroll(
            _ElmanFunction, x_BTI, state, self.weight_ih_l0, bias, self.weight_hh_l0, relu
        )


class ElmanReLU(Elman):
    """``charnn.cells.elman.ElmanReLU``."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, "relu")


class _Unrolled(nn.Module):
    """A layer that PyTorch does not have. Its parameters are the NumPy cell's."""

    name: str

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        for name, shape in CELLS[self.name].shapes(inputs, hidden).items():
            tensor = torch.empty(shape).uniform_(-(hidden**-0.5), hidden**-0.5)
            self.register_parameter(name, nn.Parameter(tensor))


class _JordanFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected_TBH: Tensor, output_BO: Tensor, W_oh: Tensor, W_ho: Tensor, b_o: Tensor
    ) -> tuple[Tensor, Tensor]:
        T, B, _ = projected_TBH.shape
        hidden_TBH = torch.empty_like(projected_TBH)
        outputs_TBO = projected_TBH.new_empty(T + 1, B, len(W_ho))
        outputs_TBO[0] = output_BO
        for t in range(T):
            h = torch.addmm(projected_TBH[t], outputs_TBO[t], W_oh.T, out=hidden_TBH[t]).tanh_()
            torch.addmm(b_o, h, W_ho.T, out=outputs_TBO[t + 1]).tanh_()
        ctx.save_for_backward(hidden_TBH, outputs_TBO, W_oh, W_ho)
        return outputs_TBO[1:], outputs_TBO[T].to(output_BO.dtype, copy=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs_TBO: Tensor, d_last_BO: Tensor) -> Any:
        hidden_TBH, outputs_TBO, W_oh, W_ho = ctx.saved_tensors
        slope_h_TBH, slope_o_TBO = 1 - hidden_TBH**2, 1 - outputs_TBO[1:] ** 2
        da_h_TBH, da_o_TBO = torch.empty_like(slope_h_TBH), torch.empty_like(slope_o_TBO)
        d_output_BO = d_last_BO.to(W_oh.dtype)
        for t in reversed(range(len(hidden_TBH))):
            torch.mul(d_output_BO + d_outputs_TBO[t], slope_o_TBO[t], out=da_o_TBO[t])
            torch.mul(da_o_TBO[t] @ W_ho, slope_h_TBH[t], out=da_h_TBH[t])
            d_output_BO = da_h_TBH[t] @ W_oh
        d_W_oh = _outer(da_h_TBH, outputs_TBO[:-1])
        d_W_ho = _outer(da_o_TBO, hidden_TBH)
        return da_h_TBH, d_output_BO.to(d_last_BO.dtype), d_W_oh, d_W_ho, da_o_TBO.sum((0, 1))


class Jordan(_Unrolled):
    """``charnn.cells.jordan.Jordan``."""

    name = "jordan"
    weight_ih: Tensor
    weight_oh: Tensor
    bias_h: Tensor
    weight_ho: Tensor
    bias_o: Tensor

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """Run a window."""
        recurrent = self.weight_oh, self.weight_ho, self.bias_o
        return _unroll(_JordanFunction, x_BTI, state, self.weight_ih, self.bias_h, *recurrent)


class _GRUFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected_TBG: Tensor, hidden_BH: Tensor, W_hh: Tensor
    ) -> tuple[Tensor, Tensor]:
        T, B, G = projected_TBG.shape
        H = G // 3
        W_rz, W_n = W_hh[: 2 * H], W_hh[2 * H :]
        gates_TBG = torch.empty_like(projected_TBG)
        hidden_TBH = hidden_BH.new_empty(T + 1, B, H)
        hidden_TBH[0] = hidden_BH
        for t in range(T):
            h = hidden_TBH[t]
            p_rz, p_n = projected_TBG[t, :, : 2 * H], projected_TBG[t, :, 2 * H :]
            rz = torch.addmm(p_rz, h.to(W_hh.dtype), W_rz.T).sigmoid_()
            r, z = rz.chunk(2, 1)
            n = torch.addmm(p_n, (r * h).to(W_hh.dtype), W_n.T).tanh_()
            torch.lerp(n.to(h.dtype), h, z.to(h.dtype), out=hidden_TBH[t + 1])
            gates_TBG[t, :, : 2 * H], gates_TBG[t, :, 2 * H :] = rz, n
        ctx.save_for_backward(gates_TBG, hidden_TBH, W_hh)
        return hidden_TBH[1:].to(W_hh.dtype), hidden_TBH[T].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs_TBH: Tensor, d_hidden_BH: Tensor) -> Any:
        gates_TBG, hidden_TBH, W_hh = ctx.saved_tensors
        H = W_hh.shape[1]
        W_rz, W_n = W_hh[: 2 * H], W_hh[2 * H :]
        r_TBH, z_TBH, n_TBH = gates_TBG.chunk(3, 2)
        before_TBH = hidden_TBH[:-1]
        to_n_TBH, to_z_TBH = _gru_slopes(z_TBH, n_TBH, before_TBH)
        to_r_TBH = before_TBH * r_TBH * (1 - r_TBH)
        da_TBG = torch.empty_like(gates_TBG)
        for t in reversed(range(len(gates_TBG))):
            dh = d_hidden_BH + d_outputs_TBH[t]
            da_r, da_z, da_n = da_TBG[t].chunk(3, 1)
            da_n.copy_(dh * to_n_TBH[t])
            d_seen = da_n @ W_n
            da_z.copy_(dh * to_z_TBH[t])
            da_r.copy_(d_seen * to_r_TBH[t])
            d_hidden_BH = dh * z_TBH[t] + d_seen * r_TBH[t] + da_TBG[t, :, : 2 * H] @ W_rz
        seen_TBH = (r_TBH * before_TBH).to(W_hh.dtype)
        d_W_rz = _outer(da_TBG[..., : 2 * H], before_TBH.to(W_hh.dtype))
        d_W_n = _outer(da_TBG[..., 2 * H :], seen_TBH)
        return da_TBG, d_hidden_BH, torch.cat((d_W_rz, d_W_n))


class GRU(_Unrolled):
    """``charnn.cells.gru.GRU``."""

    name = "gru"
    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """Run a window."""
        return _unroll(_GRUFunction, x_BTI, state, self.weight_ih, self.bias, self.weight_hh)


class _GRUResetAfterFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected_TBG: Tensor, hidden_BH: Tensor, W_hh: Tensor, b_hh: Tensor
    ) -> tuple[Tensor, Tensor]:
        T, B, G = projected_TBG.shape
        H = G // 3
        gates_TBG = torch.empty_like(projected_TBG)
        seen_TBH = projected_TBG.new_empty(T, B, H)  # W_hn h + b_hn, which r scales
        hidden_TBH = hidden_BH.new_empty(T + 1, B, H)
        hidden_TBH[0] = hidden_BH
        for t in range(T):
            h = hidden_TBH[t]
            fed_back = torch.addmm(b_hh, h.to(W_hh.dtype), W_hh.T)
            gates = torch.add(projected_TBG[t], fed_back, out=gates_TBG[t])
            r, z = gates[:, : 2 * H].sigmoid_().chunk(2, 1)
            seen = seen_TBH[t].copy_(fed_back[:, 2 * H :])
            n = torch.addcmul(projected_TBG[t, :, 2 * H :], r, seen).tanh_()
            gates[:, 2 * H :] = n
            torch.lerp(n.to(h.dtype), h, z.to(h.dtype), out=hidden_TBH[t + 1])
        ctx.save_for_backward(gates_TBG, seen_TBH, hidden_TBH, W_hh)
        return hidden_TBH[1:].to(W_hh.dtype), hidden_TBH[T].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs_TBH: Tensor, d_hidden_BH: Tensor) -> Any:
        gates_TBG, seen_TBH, hidden_TBH, W_hh = ctx.saved_tensors
        H = W_hh.shape[1]
        r_TBH, z_TBH, n_TBH = gates_TBG.chunk(3, 2)
        to_n_TBH, to_z_TBH = _gru_slopes(z_TBH, n_TBH, hidden_TBH[:-1])
        to_r_TBH = to_n_TBH * seen_TBH * r_TBH * (1 - r_TBH)
        to_ir_iz_in_TB3H = torch.stack((to_r_TBH, to_z_TBH, to_n_TBH), 2)
        da_TBG = torch.empty_like(gates_TBG)  # of what x adds to
        db_TBG = torch.empty_like(gates_TBG)  # of what h adds to: n's share passes the reset gate
        for t in reversed(range(len(gates_TBG))):
            dh = d_hidden_BH + d_outputs_TBH[t]
            da = torch.mul(dh[:, None], to_ir_iz_in_TB3H[t], out=da_TBG[t].view(-1, 3, H))
            db_TBG[t, :, : 2 * H] = da_TBG[t, :, : 2 * H]
            torch.mul(da[:, 2], r_TBH[t], out=db_TBG[t, :, 2 * H :])
            d_hidden_BH = (db_TBG[t] @ W_hh).to(dh.dtype).addcmul_(dh, z_TBH[t])
        d_W_hh = _outer(db_TBG, hidden_TBH[:-1].to(W_hh.dtype))
        return da_TBG, d_hidden_BH, d_W_hh, db_TBG.sum((0, 1))


class GRUResetAfter(nn.GRU):
    """``charnn.cells.gru.GRUResetAfter``: fused on a GPU; a CPU has no kernel, and loops here."""

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, batch_first=True)

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:  # type: ignore[override]
        """Run a window."""
        if x_BTI.is_cuda:
            with _full_precision():
                outputs_BTH, hidden_1BH = super().forward(x_BTI.float(), state[0][None])
            return outputs_BTH, (hidden_1BH[0],)
        recurrent = self.weight_hh_l0, self.bias_hh_l0
        return _unroll(
            _GRUResetAfterFunction, x_BTI, state, self.weight_ih_l0, self.bias_ih_l0, *recurrent
        )


class _PeepholeFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected_TBG: Tensor, hidden_BH: Tensor, cell_BH: Tensor, W_hh: Tensor, w: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        T, B, G = projected_TBG.shape
        H = G // 4
        w_if, w_o = w.view(3, 1, H)[:2].transpose(0, 1), w[2 * H :]  # [1, 2, H], [H]
        gates_TBG = torch.empty_like(projected_TBG)
        outputs_TBH = projected_TBG.new_empty(T + 1, B, H)
        cells_TBH = cell_BH.new_empty(T + 1, B, H)
        outputs_TBH[0], cells_TBH[0] = hidden_BH, cell_BH
        for t in range(T):
            c = cells_TBH[t]
            gates = torch.addmm(projected_TBG[t], outputs_TBH[t], W_hh.T, out=gates_TBG[t])
            i_f, g, o = gates[:, : 2 * H], gates[:, 2 * H : 3 * H], gates[:, 3 * H :]
            i_f.view(B, 2, H).addcmul_(w_if, c[:, None].to(w.dtype))
            i, f = i_f.sigmoid_().chunk(2, 1)
            torch.mul(f, c, out=cells_TBH[t + 1]).addcmul_(i, g.tanh_())
            c = cells_TBH[t + 1].to(w.dtype)
            o.addcmul_(w_o, c).sigmoid_()
            torch.mul(o, c.tanh(), out=outputs_TBH[t + 1])
        ctx.save_for_backward(gates_TBG, outputs_TBH, cells_TBH, W_hh, w)
        last_BH = outputs_TBH[T].to(hidden_BH.dtype, copy=True)
        return outputs_TBH[1:], last_BH, cells_TBH[T].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs_TBH: Tensor, dh: Tensor, dc: Tensor) -> Any:
        gates_TBG, outputs_TBH, cells_TBH, W_hh, w = ctx.saved_tensors
        T, B, G = gates_TBG.shape
        H = G // 4
        w_i, w_f, w_o = w.chunk(3)
        to_o_TBH, to_c_TBH, to_ifg_TB3H, f_TBH = _lstm_slopes(gates_TBG, cells_TBH)
        da_TBG = torch.empty_like(gates_TBG)
        dtype = dh.dtype
        for t in reversed(range(T)):
            dh = dh + d_outputs_TBH[t]
            da_ifg, da_o = da_TBG[t, :, : 3 * H], da_TBG[t, :, 3 * H :]
            torch.mul(dh, to_o_TBH[t], out=da_o)
            dc = torch.addcmul(dc, dh, to_c_TBH[t]).addcmul_(da_o, w_o)
            torch.mul(dc[:, None], to_ifg_TB3H[t], out=da_ifg.view(B, 3, H))
            da_i, da_f, _ = da_ifg.chunk(3, 1)
            dc = (dc * f_TBH[t]).addcmul_(da_i, w_i).addcmul_(da_f, w_f)
            dh = da_TBG[t] @ W_hh
        da_i, da_f, _, da_o = da_TBG.chunk(4, 2)
        pairs = ((da_i, cells_TBH[:-1]), (da_f, cells_TBH[:-1]), (da_o, cells_TBH[1:]))
        d_w = torch.cat([(da * c).sum((0, 1)) for da, c in pairs]).to(w.dtype)
        return da_TBG, dh.to(dtype), dc, _outer(da_TBG, outputs_TBH[:-1]), d_w


class Peephole(_Unrolled):
    """``charnn.cells.peephole.Peephole``."""

    name = "peephole"
    weight_ih: Tensor
    weight_hh: Tensor
    weight_ch: Tensor
    bias: Tensor

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """Run a window."""
        recurrent = self.weight_hh, self.weight_ch
        return _unroll(_PeepholeFunction, x_BTI, state, self.weight_ih, self.bias, *recurrent)


class _PeepholeFullFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected_TBG: Tensor, hidden_BH: Tensor, cell_BH: Tensor, W_kh: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        T, B, G = projected_TBG.shape
        H = G // 4
        gates_TBG = torch.empty_like(projected_TBG)
        fed_back_TBK = projected_TBG.new_empty(T + 1, B, 2 * H)  # h and c side by side
        cells_TBH = cell_BH.new_empty(T + 1, B, H)
        fed_back_TBK[0, :, :H], fed_back_TBK[0, :, H:], cells_TBH[0] = hidden_BH, cell_BH, cell_BH
        for t in range(T):
            gates = torch.addmm(projected_TBG[t], fed_back_TBK[t], W_kh.T, out=gates_TBG[t])
            i, f = gates[:, : 2 * H].sigmoid_().chunk(2, 1)
            g, o = gates[:, 2 * H : 3 * H].tanh_(), gates[:, 3 * H :].sigmoid_()
            c = torch.mul(f, cells_TBH[t], out=cells_TBH[t + 1]).addcmul_(i, g)
            h, c_again = fed_back_TBK[t + 1].chunk(2, 1)
            torch.mul(o, c_again.copy_(c).tanh(), out=h)
        ctx.save_for_backward(gates_TBG, fed_back_TBK, cells_TBH, W_kh)
        last_BH = fed_back_TBK[T, :, :H].to(hidden_BH.dtype, copy=True)
        return fed_back_TBK[1:, :, :H].contiguous(), last_BH, cells_TBH[T].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs_TBH: Tensor, dh: Tensor, dc: Tensor) -> Any:
        gates_TBG, fed_back_TBK, cells_TBH, W_kh = ctx.saved_tensors
        T, B, G = gates_TBG.shape
        H = G // 4
        to_o_TBH, to_c_TBH, to_ifg_TB3H, f_TBH = _lstm_slopes(gates_TBG, cells_TBH)
        da_TBG = torch.empty_like(gates_TBG)
        dtype = dh.dtype
        for t in reversed(range(T)):
            dh = dh + d_outputs_TBH[t]
            da_ifg, da_o = da_TBG[t, :, : 3 * H], da_TBG[t, :, 3 * H :]
            torch.mul(dh, to_o_TBH[t], out=da_o)
            dc = torch.addcmul(dc, dh, to_c_TBH[t])
            torch.mul(dc[:, None], to_ifg_TB3H[t], out=da_ifg.view(B, 3, H))
            dh, dc_seen = (da_TBG[t] @ W_kh).chunk(2, 1)
            dc = torch.addcmul(dc_seen, dc, f_TBH[t])
        return da_TBG, dh.to(dtype), dc.to(dtype), _outer(da_TBG, fed_back_TBK[:-1])


class PeepholeFull(_Unrolled):
    """``charnn.cells.peephole.PeepholeFull``."""

    name = "peephole-full"
    weight_ih: Tensor
    weight_hh: Tensor
    weight_ch: Tensor
    bias: Tensor

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """Run a window; h and c are read through one matrix."""
        weight_kh = torch.cat((self.weight_hh, self.weight_ch), 1)
        return _unroll(_PeepholeFullFunction, x_BTI, state, self.weight_ih, self.bias, weight_kh)


def _gru_slopes(z_TBH: Tensor, n_TBH: Tensor, before_TBH: Tensor) -> tuple[Tensor, Tensor]:
    """What dh is multiplied by to give the gradients before n and before z, for all steps."""
    return (1 - z_TBH) * (1 - n_TBH**2), (before_TBH - n_TBH) * z_TBH * (1 - z_TBH)


def _lstm_slopes(gates_TBG: Tensor, cells_TBH: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the loop of an LSTM's backward pass multiplies by, for all steps.

    dh to the output gate; dh to the cell; the cell to i, f and g side by side; and f.
    """
    i, f, g, o = gates_TBG.chunk(4, 2)
    shown = cells_TBH[1:].to(gates_TBG.dtype).tanh()
    before = cells_TBH[:-1]
    to_ifg = torch.stack((g * i * (1 - i), before * f * (1 - f), i * (1 - g**2)), 2)
    return shown * o * (1 - o), o * (1 - shown**2), to_ifg, f


def _outer(da_TBG: Tensor, x_TBK: Tensor) -> Tensor:
    """The gradient of a weight that every step shares: Σ_t da_t^T x_t, as one product."""
    return da_TBG.flatten(0, 1).T @ x_TBK.flatten(0, 1)


#: Every module by its cell's name.
LAYERS: dict[str, type[nn.Module]] = {
    "lstm": LSTM,
    "elman": Elman,
    "elman-relu": ElmanReLU,
    "jordan": Jordan,
    "gru": GRU,
    "gru-reset-after": GRUResetAfter,
    "peephole": Peephole,
    "peephole-full": PeepholeFull,
}
