"""A DICOM structured report of a scan: what the models say of it, by template TID 1500 (PS3.16)."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import highdicom as hd
import pandas as pd
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from ichtune.intended_use import RESEARCH_ONLY
from ichtune.labels import ANY, LABELS
from ichtune.prediction.algorithm import Algorithm
from ichtune.prediction.rows import IS

_SCHEME: Final = "99ICHTUNE"
_SLICES: Final = sr.CodedConcept("slices", _SCHEME, "Number of slices that reach the threshold")
_REACHES: Final = sr.CodedConcept("reaches", _SCHEME, "Any slice reaches the threshold of the model")
# DICOM's own dictionary has a code for intracranial hemorrhage, and none for its subtypes.
_FINDINGS: Final = {
    label: sr.CodedConcept(label, _SCHEME, f"{label.capitalize()} hemorrhage")
    for label in LABELS
    if label != ANY
} | {ANY: codes.SCT.IntracranialHemorrhage}

_MAY_BE_EMPTY: Final = (
    *("PatientName", "PatientBirthDate", "PatientSex", "ReferringPhysicianName"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber"),
)
_SERIES_NUMBER: Final = 9901  # reports come after what a scanner makes


def structured_report(
    slices: pd.DataFrame, headers: Sequence[Dataset], algorithm: Algorithm, unread: int
) -> sr.ComprehensiveSR:
    """Return the report of a scan.

    Args:
        slices: the rows of its slices that have a prediction.
        headers: the DICOM header of each, without its pixels.
        unread: how many further slices of the scan could not be read; with any, the report counts as partial.

    Raises:
        ValueError: an identifier isn't a valid UID, or a header lacks what a report must have.
    """
    for header in headers:
        _fill(header)
    series = headers[0].SeriesInstanceUID
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(algorithm)),
        procedure_reported=codes.SCT.ComputedTomographyOfHead,
        imaging_measurements=list(_groups(slices, headers, algorithm)),
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = sr.ComprehensiveSR(
        evidence=list(headers),
        content=report[0],
        series_instance_uid=_uid(algorithm, series, "series"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=_uid(algorithm, series, "report"),
        instance_number=1,
        manufacturer="ichtune",
        is_complete=not unread,
        is_verified=False,
        series_description=f"ichtune: {RESEARCH_ONLY}",
    )
    if unread:
        made.CompletionFlagDescription = f"{unread} of {len(slices) + unread} slices could not be read"
    made.CodingSchemeIdentificationSequence = [_scheme()]
    return made


def _groups(
    slices: pd.DataFrame, headers: Sequence[Dataset], algorithm: Algorithm
) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    identified = sr.AlgorithmIdentification(
        name=algorithm.name, version=algorithm.version, parameters=list(algorithm.parameters)
    )
    series = headers[0].SeriesInstanceUID
    for label in LABELS:
        peak = int(slices[label].to_numpy(float).argmax())
        positive = int((slices[IS[label]] == 1).sum())
        source = sr.SourceImageForMeasurement.from_source_image(headers[peak])
        yield sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(uid=_uid(algorithm, series, label), identifier=label),
            finding_type=_FINDINGS[label],
            algorithm_id=identified,
            measurements=[
                sr.Measurement(
                    name=codes.DCM.Probability,
                    value=float(f"{slices[label].iloc[peak]:.4g}"),  # as the thresholds beside it
                    unit=codes.UCUM.NoUnits,
                    derivation=codes.SCT.Maximum,
                    referenced_images=[source],
                ),
                sr.Measurement(name=_SLICES, value=positive, unit=codes.UCUM.NoUnits),
            ],
            qualitative_evaluations=[
                sr.QualitativeEvaluation(_REACHES, codes.SCT.Yes if positive else codes.SCT.No)
            ],
        )


def _fill(header: Dataset) -> None:
    """Add what every image must have but may leave empty (type 2), and files without names often lack."""
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")


def _observer(algorithm: Algorithm) -> sr.ObserverContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(generate_uid(entropy_srcs=[algorithm.digest])),
        name=f"ichtune ({RESEARCH_ONLY})",
        manufacturer_name="ichtune",
        model_name=algorithm.name,
    )
    return sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def _uid(algorithm: Algorithm, series: str, what: str) -> Any:
    return hd.UID(generate_uid(entropy_srcs=[algorithm.digest, series, what]))


def _scheme() -> Dataset:
    """Return what DICOM wants to know of a coding scheme that isn't its own (PS3.3 C.12.1)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = _SCHEME
    scheme.CodingSchemeName = "Labels and measurements of ichtune"
    return scheme
