"""The check-up of a user's own model: labels, memorisation, coherence, curvature, sharpness and norms in one report.

```python
from overparam.examine import Subject, examine

found = examine(Subject(model, loss_fn, dataset), max_seconds=120)
found.save("report.html")
```
"""

from overparam.examine.examination import Examination, examine
from overparam.examine.subject import Subject, load_subject

__all__ = ["Examination", "Subject", "examine", "load_subject"]
