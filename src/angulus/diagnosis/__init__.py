"""What is wrong with a training run, read from what it recorded: findings with evidence and the key to change."""

from angulus.diagnosis.examination import diagnose, examine
from angulus.diagnosis.findings import Diagnosis, Finding
from angulus.diagnosis.records import Record, read_record

__all__ = ["Diagnosis", "Finding", "Record", "diagnose", "examine", "read_record"]
