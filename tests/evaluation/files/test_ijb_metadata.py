"""IJB's layouts, from their published descriptions, in small files made here."""

import numpy as np
import pytest

from angulus.errors import EvaluationError
from angulus.evaluation import pool_templates, search_two_galleries, verify_templates
from angulus.evaluation.files.ijb_metadata import (
    read_comparisons,
    read_detected_faces,
    read_template_csv,
    read_template_images,
    read_template_pairs,
)

CSV_1N = "TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT\n"
CSV_A = "TEMPLATE_ID,SUBJECT_ID,FILE,MEDIA_ID,SIGHTING_ID,FRAME,FACE_X,FACE_Y\n"
LINE_5PTS = "{}.jpg 38.3 51.7 73.5 51.5 56.0 71.7 41.5 92.4 70.7 92.2 {}\n"


def written(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def test_images_with_template_and_medium(tmp_path):
    found = read_template_images(
        written(tmp_path, "ijbc_face_tid_mid.txt", "1.jpg 1 69544\n2.jpg 1 69544\n3.jpg 4 7\n\n")
    )
    assert (found.names, found.templates.tolist(), found.media.tolist()) == (
        ("1.jpg", "2.jpg", "3.jpg"),
        [1, 1, 4],
        [69544, 69544, 7],
    )


def test_pairs_of_templates_are_kept_small(tmp_path, monkeypatch):
    monkeypatch.setattr("angulus.evaluation.files.ijb_metadata._LINES", 2)
    found = read_template_pairs(written(tmp_path, "ijbc_template_pair_label.txt", "1 4 1\n1 5 0\n\n2 4 0\n"))
    assert (found.left.tolist(), found.right.tolist(), found.same.tolist()) == (
        [1, 1, 2],
        [4, 5, 4],
        [True, False, False],
    )
    assert found.left.dtype == np.int32
    assert found.same.dtype == bool


def test_landmarks_and_scores(tmp_path):
    lines = LINE_5PTS.format(1, 0.998) + LINE_5PTS.format(2, 0.5)
    found = read_detected_faces(written(tmp_path, "ijbc_name_5pts_score.txt", lines))
    assert (found.names, found.landmarks.shape) == (("1.jpg", "2.jpg"), (2, 5, 2))
    np.testing.assert_allclose(found.landmarks[0, 4], [70.7, 92.2])
    np.testing.assert_allclose(found.scores, [0.998, 0.5])


def test_csv_of_galleries_and_of_ijb_a(tmp_path):
    rows = "12,3,img/1.jpg,5,1,2,3,4\n12,3,frames/2.png,6,1,2,3,4\n13,4,img/9.jpg,7,,,,\n"
    found = read_template_csv(written(tmp_path, "ijbc_1N_gallery_G1.csv", CSV_1N + rows))
    assert (found.templates.tolist(), found.subjects.tolist(), found.media) == ([12, 12, 13], [3, 3, 4], None)
    assert found.files == ("img/1.jpg", "frames/2.png", "img/9.jpg")
    assert (found.gallery().templates.tolist(), found.gallery().subjects.tolist()) == ([12, 13], [3, 4])
    rows = "7,1,img/1.jpg,100,5,,0.1,0.2\n8,1,frame/2.png,101,6,17,0.1,0.2\n9,2,img/3.jpg,102,7,,0.1,0.2\n"
    metadata = read_template_csv(written(tmp_path, "verify_metadata_1.csv", CSV_A + rows))
    assert metadata.media.tolist() == [100, 101, 102]
    pairs = read_comparisons(written(tmp_path, "verify_comparisons_1.csv", "7,8\n7,9\n"), metadata)
    assert (pairs.left.tolist(), pairs.right.tolist(), pairs.same.tolist()) == ([7, 7], [8, 9], [True, False])


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (read_template_images, "1.jpg 1 2\n2.jpg 1\n", "line 2 must be 'image template medium', got '2.jpg 1'"),
        (read_template_images, "1.jpg 1 2\n2.jpg x 3\n", "line 2: template must be a whole number"),
        (read_template_images, "\n", "lists no images"),
        (read_template_pairs, "1 2 1\n3 4\n5 6 0 7\n", "line 2 must be 'template template label'"),
        (
            read_template_pairs,
            "1 2 1\n\n3 4 2\n",
            "line 3 must be 'template template label' with label 1 or 0, got '3 4 2'",
        ),
        (read_template_pairs, "1 2 1\n-3 4 1\n", "line 2: template must be a whole number"),
        (read_template_pairs, "1 2.5 1\n", "line 1: template must be a whole number below 10.9, got '2.5'"),
        (read_template_pairs, "1 9999999999 1\n", "line 1: template must be a whole number"),
        (read_template_pairs, "", "lists no pairs"),
        (read_template_pairs, "\n\n", "lists no pairs"),
        (read_detected_faces, LINE_5PTS.format(1, "0.9 0.8"), "line 1 must be 'image, ten coordinates and score'"),
        (read_detected_faces, LINE_5PTS.format(1, "high"), "line 1: coordinates and score must be numbers"),
        (read_detected_faces, LINE_5PTS.format(1, "nan"), "must be finite, got NaN or infinity for image '1.jpg'"),
        (read_template_csv, "1,2,a.jpg\n", "line 1 must be a header with TEMPLATE_ID"),
        (read_template_csv, CSV_1N + "1,2,a.jpg\n", "line 2 must have 8 fields, got 3"),
        (
            read_template_csv,
            CSV_1N + "1,B,a.jpg,,,,,\n",
            "line 2: SUBJECT_ID must be a whole number below 10.9, got 'B'",
        ),
        (read_template_csv, CSV_1N, "lists no images"),
        (read_template_csv, CSV_1N + "1,2,a.jpg,,,,,\n1,3,b.jpg,,,,,\n", "must belong to one subject, got 3 and 2"),
        (read_template_csv, "", "must be a header"),
    ],
)
def test_malformed_lines_are_named(tmp_path, reader, text, message):
    with pytest.raises(EvaluationError, match=message):
        reader(written(tmp_path, "file.txt", text))


def test_comparisons_that_are_wrong(tmp_path):
    metadata = read_template_csv(written(tmp_path, "m.csv", CSV_A + "7,1,img/1.jpg,100,5,,0.1,0.2\n"))
    for text, message in (
        ("7,8\n", "template 8 of pair 0 has no subject"),
        ("7,8,1\n", "line 1 must be 'template,template', got '7,8,1'"),
        ("", "lists no pairs"),
    ):
        with pytest.raises(EvaluationError, match=message):
            read_comparisons(written(tmp_path, "c.csv", text), metadata)


def test_files_that_are_not_there_or_no_text(tmp_path):
    with pytest.raises(EvaluationError, match="the file does not exist"):
        read_template_pairs(tmp_path / "none.txt")
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff\xe0" * 9)
    with pytest.raises(EvaluationError, match="not a readable protocol file"):
        read_template_images(tmp_path / "picture")


def test_from_files_to_rates(tmp_path):
    """The whole road: metadata, pooling, 1:1 and 1:N on people whose templates are distinct directions."""
    directions = np.eye(6, dtype=np.float32)
    lines, embeddings = [], []
    for template in range(12):  # templates 0-5 are enrolled, 6-11 are probes; three frames each, two media
        for image in range(3):
            lines.append(f"{template}_{image}.jpg {template} {image // 2}\n")
            embeddings.append(directions[template % 6] * (image + 1) + 0.01 * directions[image])
    images = read_template_images(written(tmp_path, "tid.txt", "".join(lines)))
    templates = pool_templates(np.array(embeddings), images.templates, images.media)
    pairs = "".join(f"{a} {b} {int(a == b - 6)}\n" for a in range(6) for b in range(6, 12))
    found = verify_templates(templates, read_template_pairs(written(tmp_path, "pairs.txt", pairs)), fars=(0.1,))
    assert (found.genuine, found.impostors, found.points[0].tar) == (6, 30, 1.0)
    parts = []
    for name, members in (("probe", range(6, 12)), ("G1", range(3)), ("G2", range(3, 6))):
        rows = "".join(f"{member},{member % 6},{member}_0.jpg,0,0,0,0,0\n" for member in members)
        parts.append(read_template_csv(written(tmp_path, f"{name}.csv", CSV_1N + rows)).gallery())
    both = search_two_galleries(templates, parts[0], (parts[1], parts[2]))
    assert (both.mean_cmc()[1], both.mean_tpir(0.1)) == (1.0, 1.0)
