"""Publishing: records to a parquet dataset with a computed card, and the dataset to the Hugging Face Hub.

schema         the columns, once, as Arrow types and as the features that `datasets` reads
private        what must not be published, and what stands in its place
contents       the configs, and what is counted while they are written
front_matter   the card's YAML
card           README.md, every number of it computed
write          records -> data/<config>/<split>-*.parquet, recipe.toml, report.json, README.md
push           that folder -> one commit on the Hub
"""

from tracegen.publish.push import PushResult, push
from tracegen.publish.write import write_dataset

__all__ = ["PushResult", "push", "write_dataset"]
