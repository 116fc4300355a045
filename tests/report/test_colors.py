import numpy as np
import pytest

from jaxdc.report import colors


def rgb_of(palette):
    return np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in palette])


@pytest.mark.parametrize("page", ["light", "dark"])
def test_a_colour_of_its_own_for_each_of_two_hundred_clusters(page):
    palette = colors.palette(200, page)
    assert len(set(palette)) == 200
    assert (colors.contrast(rgb_of(palette), colors.PAGES[page]) >= 3).all()
    assert palette[:7] == colors.palette(7, page)


@pytest.mark.parametrize("page", ["light", "dark"])
@pytest.mark.parametrize("vision", [vision for vision, _ in colors.VISIONS])
def test_ten_are_told_apart_by_all_eyes(page, vision):
    seen = colors.oklab(np.clip(colors.linear(rgb_of(colors.palette(10, page))) @ vision.T, 0, 1))
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)[np.triu_indices(10, 1)]
    assert apart.min() > 0.07  # a just noticeable difference is about 0.02


def test_known_values():
    assert colors.contrast(np.array([[0, 0, 0]]), (255, 255, 255)) == pytest.approx([21])
    assert colors.contrast(np.array([[118, 118, 118]]), (255, 255, 255)) == pytest.approx([4.54], abs=0.01)
    assert colors.oklab(np.eye(3))[0] == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)  # red, as published


def test_style_has_both_pages():
    style = colors.style(2)
    assert style.count(".k0{") == style.count(".k1{") == 2 and ".k2{" not in style
