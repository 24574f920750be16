"""The terms of a Darwin Core archive as GBIF takes it, and the words that some of them take."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as Xml

DWC = "http://rs.tdwg.org/dwc/terms/"
DC = "http://purl.org/dc/terms/"
AC = "http://rs.tdwg.org/ac/terms/"

OCCURRENCE = {
    **{name: f"{DC}{name}" for name in ("type", "license", "rightsHolder")},
    **{
        name: f"{DWC}{name}"
        for name in (
            *("datasetID", "collectionCode", "datasetName", "basisOfRecord"),
            *("dataGeneralizations", "occurrenceID", "individualCount", "sex", "lifeStage"),
            *("behavior", "occurrenceStatus", "occurrenceRemarks", "organismID", "eventID"),
            *("parentEventID", "eventDate", "habitat", "samplingProtocol", "samplingEffort"),
            *("eventRemarks", "locationID", "locality", "minimumDepthInMeters"),
            *("maximumDepthInMeters", "minimumDistanceAboveSurfaceInMeters"),
            *("maximumDistanceAboveSurfaceInMeters", "decimalLatitude", "decimalLongitude"),
            *("geodeticDatum", "coordinateUncertaintyInMeters", "coordinatePrecision"),
            *("identifiedBy", "dateIdentified", "identificationVerificationStatus"),
            *("identificationRemarks", "taxonID", "scientificName", "kingdom"),
        )
    },
}
MULTIMEDIA = {
    "occurrenceID": f"{DWC}occurrenceID",
    "identifier": f"{DC}identifier",
    "dc:type": "http://purl.org/dc/elements/1.1/type",
    "comments": f"{AC}comments",
    "dcterms:rights": f"{DC}rights",
    "CreateDate": "http://ns.adobe.com/xap/1.0/CreateDate",
    "captureDevice": f"{AC}captureDevice",
    "resourceCreationTechnique": f"{AC}resourceCreationTechnique",
    "accessURI": f"{AC}accessURI",
    "dc:format": f"{DC}format",
    "serviceExpectation": f"{AC}serviceExpectation",
}
FILES = ("occurrence.csv", "multimedia.csv", "meta.xml")

FEATURES = {
    "roadPaved": "paved road",
    "roadDirt": "dirt road",
    "trailHiking": "hiking trail",
    "trailGame": "game trail",
    "roadUnderpass": "road underpass",
    "roadOverpass": "road overpass",
    "roadBridge": "road bridge",
    "culvert": "culvert",
    "burrow": "burrow",
    "nestSite": "nest site",
    "carcass": "carcass",
    "waterSource": "water source",
    "fruitingTree": "fruiting tree",
}
TECHNIQUES = {"activityDetection": "activity detection", "timeLapse": "time lapse"}


def meta_xml() -> str:
    """Return what says which column is which term."""
    archive = Xml.Element("archive", xmlns="http://rs.tdwg.org/dwc/text/")
    parts: tuple[tuple[str, str, str, Iterable[str]], ...] = (
        ("core", f"{DWC}Occurrence", FILES[0], OCCURRENCE.values()),
        ("extension", f"{AC}Multimedia", FILES[1], MULTIMEDIA.values()),
    )
    for kind, row_type, file, terms in parts:
        part = Xml.SubElement(
            archive,
            kind,
            encoding="UTF-8",
            fieldsTerminatedBy=",",
            linesTerminatedBy="\\n",
            fieldsEnclosedBy='"',
            ignoreHeaderLines="1",
            rowType=row_type,
        )
        Xml.SubElement(Xml.SubElement(part, "files"), "location").text = file
        key = list(OCCURRENCE).index("occurrenceID") if kind == "core" else 0
        Xml.SubElement(part, "id" if kind == "core" else "coreid", index=str(key))
        for index, term in enumerate(terms):
            Xml.SubElement(part, "field", index=str(index), term=term)
    Xml.indent(archive, "  ")
    return Xml.tostring(archive, encoding="unicode").replace(" />", "/>") + "\n"
