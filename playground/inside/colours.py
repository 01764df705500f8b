"""Colours of heat maps as tables of 256, for colour-blind eyes: cividis and viridis for weights, blue to orange for differences. Knows no Qt.

cividis (Nuñez, Anderton & Renslow 2018, doi 10.1371/journal.pone.0199239) and viridis (van der Walt & Smith 2015) are those published with
matplotlib, under CC0. Blue to orange is ours: the amount is in the lightness as well as in the hue, so that it survives a print in grey.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]

_VIRIDIS = (
    "44015444025645045745055946075a46085c460a5d460b5e470d60470e6147106347116447136548146748166848176948186a481a6c481b6d481c6e"
    "481d6f481f70482071482173482374482475482576482677482878482979472a7a472c7a472d7b472e7c472f7d46307e46327e46337f463480453581"
    "453781453882443983443a83443b84433d84433e85423f854240864241864142874144874045884046883f47883f48893e49893e4a893e4c8a3d4d8a"
    "3d4e8a3c4f8a3c508b3b518b3b528b3a538b3a548c39558c39568c38588c38598c375a8c375b8d365c8d365d8d355e8d355f8d34608d34618d33628d"
    "33638d32648e32658e31668e31678e31688e30698e306a8e2f6b8e2f6c8e2e6d8e2e6e8e2e6f8e2d708e2d718e2c718e2c728e2c738e2b748e2b758e"
    "2a768e2a778e2a788e29798e297a8e297b8e287c8e287d8e277e8e277f8e27808e26818e26828e26828e25838e25848e25858e24868e24878e23888e"
    "23898e238a8d228b8d228c8d228d8d218e8d218f8d21908d21918c20928c20928c20938c1f948c1f958b1f968b1f978b1f988b1f998a1f9a8a1e9b8a"
    "1e9c891e9d891f9e891f9f881fa0881fa1881fa1871fa28720a38620a48621a58521a68522a78522a88423a98324aa8325ab8225ac8226ad8127ad81"
    "28ae8029af7f2ab07f2cb17e2db27d2eb37c2fb47c31b57b32b67a34b67935b77937b87838b9773aba763bbb753dbc743fbc7340bd7242be7144bf70"
    "46c06f48c16e4ac16d4cc26c4ec36b50c46a52c56954c56856c66758c7655ac8645cc8635ec96260ca6063cb5f65cb5e67cc5c69cd5b6ccd5a6ece58"
    "70cf5773d05675d05477d1537ad1517cd2507fd34e81d34d84d44b86d54989d5488bd6468ed64590d74393d74195d84098d83e9bd93c9dd93ba0da39"
    "a2da37a5db36a8db34aadc32addc30b0dd2fb2dd2db5de2bb8de29bade28bddf26c0df25c2df23c5e021c8e020cae11fcde11dd0e11cd2e21bd5e21a"
    "d8e219dae319dde318dfe318e2e418e5e419e7e419eae51aece51befe51cf1e51df4e61ef6e620f8e621fbe723fde725"
)
_CIVIDIS = (
    "00204d00214e00225000225200235300245500255700255800265a00275c00275e002860002961002a63002a65002b67002c69002c6a002d6c002e6e"
    "002e6f002f6f002f6f00306f00306f00316f00326f00336f00336f00346f00356e01366e06366e0b376e0f386e12386d15396d183a6d1a3b6d1d3b6d"
    "1f3c6d213d6d233e6c243e6c263f6c28406c2a406c2b416c2d426c2e436c30436c31446b32456b34456b35466b36476b38486b39486b3a496b3b4a6b"
    "3d4a6b3e4b6b3f4c6b404d6b414d6b424e6b434f6b444f6b46506b47516b48526b49526b4a536b4b546c4c546c4d556c4e566c4f576c50576c51586c"
    "52596c53596c545a6c555b6d565c6d575c6d585d6d595e6d595f6d5a5f6d5b606e5c616e5d616e5e626e5f636e60646f61646f62656f63666f64666f"
    "646770656870666970676970686a71696b716a6c716b6c716c6d726c6e726d6e726e6f736f7073707173717174727274727374737475747475757575"
    "7676767777767877777878777979777a7a787b7a787c7b787d7c787e7d787f7d78807e79817f79828079838079848179848279858379868379878479"
    "8885798986798a87798b87798c88798d89798e8a798f8a79908b79918c78928d78938e78948e78958f789690789791789892789992789a93779b9477"
    "9c95779d96779e96779f9777a09877a19976a29a76a39a76a49b76a59c76a69d75a89e75a99f75aa9f75aba074aca174ada274aea374afa473b0a473"
    "b1a573b2a672b3a772b4a872b5a971b6a971b7aa71b8ab70b9ac70baad70bbae6fbcaf6fbeaf6fbfb06ec0b16ec1b26dc2b36dc3b46dc4b56cc5b56c"
    "c6b66bc7b76bc8b86ac9b96acbba69ccbb69cdbc68cebc68cfbd67d0be67d1bf66d2c066d3c165d4c264d6c364d7c463d8c563d9c562dac661dbc761"
    "dcc860ddc95fdeca5fe0cb5ee1cc5de2cd5ce3ce5ce4cf5be5d05ae6d159e8d259e9d358ead357ebd456ecd555edd654efd753f0d852f1d951f2da50"
    "f3db4ff4dc4ef6dd4df7de4cf8df4bf9e04afae149fbe248fde346fee445ffe544ffe642ffe742ffe843ffe944ffea46"
)

_DIFFERENCE = {
    False: ("08306b", "2a6fb0", "93c1e0", "f4f4f2", "f2b877", "c96a12", "6d3103"),
    True: ("a8d3ff", "4494dc", "22507f", "23282c", "7a4a1c", "d98630", "ffcf94"),
}
"""the stops of blue to orange in light and in dark: no difference is what the page around it is"""

SEQUENTIAL = ("cividis", "viridis")


@cache
def sequential(name: str) -> Colours:
    """[256, 3] of `cividis` or `viridis`, from 0 to the greatest. Not to be written to."""
    return _fixed(np.frombuffer(bytes.fromhex({"cividis": _CIVIDIS, "viridis": _VIRIDIS}[name]), np.uint8).reshape(256, 3))


@cache
def blue_orange(dark: bool = False) -> Colours:
    """[256, 3] from -1 (blue) by 0 (at 128, the colour of a light or dark page) to 1 (orange). Not to be written to."""
    stops = np.array([list(bytes.fromhex(each)) for each in _DIFFERENCE[dark]], np.float64)
    places = np.clip((np.arange(256) - 128) / 127, -1, 1)
    across = np.linspace(-1, 1, len(stops))
    return _fixed(np.stack([np.interp(places, across, stops[:, each]) for each in range(3)], axis=1).round().astype(np.uint8))


def _fixed(table: Colours) -> Colours:
    table.setflags(write=False)
    return table
