"""Small matrices of the SuiteSparse collection, as Matrix Market files: power networks, stiffness, graphs, circuits.

Source: Davis and Hu, The University of Florida Sparse Matrix Collection, ACM TOMS 2011; the files of the repository
DrTimothyAldenDavis/SuiteSparse. The matrices carry no licence of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from overparam.data.store import Source, locate
from overparam.errors import BadInput

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_URL = "https://raw.githubusercontent.com/DrTimothyAldenDavis/SuiteSparse/038d66350964"
_FILES = {
    "ParU/Matrix/494_bus.mtx": "68f051d52e72593d1331344ee8be58a168ac0fac2f90a666c8821b2d4d3bd6d3",
    "SPQR/Matrix/Franz6_id1959_aug.mtx": "c5892c64ce07ee195600b35073e0ad936fa0f8b834cbe495e75a37ad5e0ad348",
    "Mongoose/Matrix/G51.mtx": "f6f64a8281889f5405e0209ec12766192c89ffe01e33c093c79702296296fedd",
    "SPQR/Matrix/ash219.mtx": "71b65958b56421e190f76a387ce3e2f67036ddf60f557f460ee2a254db498595",
    "Mongoose/Matrix/bcspwr10.mtx": "5011d5518a7d96ab054dadb8f0670fded73385548add1cfa75c43742523c3e33",
    "LAGraph/data/bcsstk13.mtx": "cd0794b0ac36c44f53f0e93a5a740faaa1044eab7e3db63fe15c559caae22c9e",
    "ParU/Matrix/bp_1200.mtx": "c3ab8e767e21de72bbbab8f0054727f033daa7ed290f3a9b2f38a291ea2ecf0b",
    "LAGraph/data/cryg2500.mtx": "17e7aae931e9ee9d55c4699e2790e83627263c89a89ce6ce550d6dcd28466d79",
    "ParU/Matrix/dwt_878.mtx": "0f131c908d4316fd459d297676d2545b2b830df05443b9750652318bcaeea6a6",
    "Mongoose/Matrix/jagmesh7.mtx": "cdcd561da557ad706e645d5314c6b512db1269461f88805c02cc13340225757f",
    "LAGraph/data/karate.mtx": "074a23e758ebeddb766fb08f617ee4bc5debc8d2564287c3e1e24f5ccdb77813",
    "ParU/Matrix/lp_e226.mtx": "48c0aefa7529f944e393443057f3fefcaa04022c17c6a8f0f6bbfbb0781270b3",
    "ParU/Matrix/lp_share1b.mtx": "0256cfeccbb170cc489498d27abad02498c5817352ef2202ca1a12cbc3f27885",
    "ParU/Matrix/nnc1374.mtx": "2969b8e8ec7d6e9cc6c7fdb22f6bb899c1caba5c5aa88225ac2682a48218564a",
    "LAGraph/data/olm1000.mtx": "d814ec8934fa86af5cba802630fb3d966e631a0c70339435638083ab80117da0",
    "ParU/Matrix/olm500.mtx": "701f0f32800b51562c2aae968b2368f8c6aef4ea5f456a7756166ef9672b29e1",
    "ParU/Matrix/rajat01.mtx": "7da591717850608c30c9876b317e636bdea9a2d463d8f5ba66ca541dbc98565e",
    "ParU/Matrix/watt_2.mtx": "53a569019a5ec5799e41e29e32407b90943bf963c6b2b79c102c4419182c493f",
    "LAGraph/data/west0067.mtx": "26e848564e3a0024ade49caba8c293c8b93ac81a34a2dba99e8b0b9f7bdd96d7",
    "ParU/Matrix/west0479.mtx": "a45b04df5fc8b27c6e87dba0fae80f734267d4c44deb5313578f5893a6a6122b",
    "ParU/Matrix/west0497.mtx": "574203b5af154cd5b74b6a1dee60b5f6010fe69be3dfcb5ef0b1917605164003",
    "SPQR/Matrix/young1c.mtx": "8993751e875812435e7084deddec0c7b5d9fe9da2f391e9515803b4ed53e71a2",
}
SOURCES = tuple(
    Source("sparse-matrices", path.rsplit("/", 1)[1], (total,), f"{_URL}/{path}") for path, total in _FILES.items()
)
NAMES = tuple(source.name.removesuffix(".mtx") for source in SOURCES)
POSITIVE_DEFINITE = ("494_bus", "bcsstk13")


def load_matrix(matrix: str) -> csr_array:
    """Read one matrix.

    Args:
        matrix: Its name, such as `494_bus`; `NAMES` lists them, `POSITIVE_DEFINITE` those that SOR can solve.

    Returns:
        CSR with both halves of a symmetric matrix; complex128 for complex files, float64 for all others, ones where
        the file holds a pattern.

    Raises:
        BadInput: An unknown name.
    """
    if matrix not in NAMES:
        raise BadInput(f"matrix={matrix!r} is unknown; give one of {', '.join(NAMES)}")
    import numpy as np
    from scipy.io import mmread
    from scipy.sparse import csr_array

    found = csr_array(mmread(locate(SOURCES[NAMES.index(matrix)])))
    return found.astype(np.complex128 if found.dtype.kind == "c" else np.float64)


load = load_matrix
