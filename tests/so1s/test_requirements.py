"""Requirements of user code: names and versions are taken, and nothing that reaches past the index."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from so1s.errors import InvalidInput
from so1s.modelfile import ModelFile
from so1s.requirements import Requirements

A, B = "a" * 64, "b" * 64


def test_two_spellings_of_the_same_are_the_same():
    one = b"numpy >= 2.1,<3  # for the weights\n\n# a comment\npandas\n"
    other = b"\xef\xbb\xbfpandas\r\nnumpy<3,>=2.1\r\nnumpy<3, >=2.1"
    assert Requirements.parse(one) == Requirements.parse(other)
    assert Requirements.parse(one).packages == ("numpy<3,>=2.1", "pandas")


def test_extras_markers_and_a_line_that_goes_on_are_taken():
    text = b"uvicorn[standard]==0.34 ; \\\n  python_version >= '3.11'"
    assert Requirements.parse(text).packages == ('uvicorn[standard]==0.34; python_version >= "3.11"',)


def test_hashes_as_pip_compile_writes_them_are_kept_by_name():
    text = f"Scikit_Learn==1.7.2 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n    # via -r in.txt\n"
    found = Requirements.parse(text.encode())
    assert found.packages == ("Scikit_Learn==1.7.2",)
    assert found.hashes == {"scikit-learn": {A, B}}


WHEEL = "https://files.example.org/w/numpy-2.1.0-py3-none-any.whl"
SOURCE = "https://files.example.org:8443/own/a.b/My_Own-1.0%2Bcu1.tar.gz"


def test_packages_from_urls_are_kept_apart_with_their_lines_and_hashes():
    numpy = f"NumPy[x] @ {WHEEL}#sha256={A} ; python_version >= '3.11' --hash=sha256:{B}"
    text = f"attrs\n{numpy}\nmy.own@{SOURCE}\n"
    found = Requirements.parse(text.encode())
    assert found.packages == ("attrs",)
    own, numpy = found.directs
    assert (own.name, own.version, own.url, own.is_wheel) == ("my-own", "1.0+cu1", SOURCE, False)
    assert own.file_name == "My_Own-1.0+cu1.tar.gz"
    assert (numpy.name, numpy.version, numpy.url, numpy.is_wheel) == ("numpy", "2.1.0", WHEEL, True)
    assert (numpy.extras, numpy.marker) == (("x",), 'python_version >= "3.11"')
    assert found.hashes == {"numpy": {A, B}}
    assert found.places["my-own"] == "requirements.txt line 3"


@pytest.mark.parametrize(
    "url",
    [
        WHEEL.replace("https", "http"),
        WHEEL.replace("//", "//me:s3cret@"),
        WHEEL.replace("/w/", "/w/../"),
        WHEEL.replace("/w/", "/./"),
        WHEEL.replace("/w/", "/%2e%2e/"),
        WHEEL.replace("/w/", "//"),
        WHEEL.replace("/w/", "/w\\"),
        WHEEL.replace("files", "FILES"),
        f"{WHEEL}?token=x",
        f"{WHEEL}#egg=numpy",
        f"{WHEEL}#sha256={A}&egg=numpy",
        WHEEL.replace("numpy", "pandas"),
        WHEEL.replace("-py3-none-any.whl", ".tar.bz2"),
        "https://files.example.org/numpy.whl",
        "https://files.example.org/",
        "https://files.example.org:99999999/numpy-1.tar.gz",
        f"{WHEEL} -e .",
        f"{WHEEL} --hash=md5:0",
        f"{WHEEL} ; python_version > '${{HOME}}'",
    ],
)
def test_a_url_that_is_not_plainly_a_distribution_of_its_package_is_refused(url):
    with pytest.raises(InvalidInput) as error:
        Requirements.parse(f"attrs\nnumpy @ {url}\n".encode())
    (problem,) = error.value.problems
    assert problem.field == "requirements.txt line 2"
    assert "https://HOST/PATH/FILE" in str(problem)
    assert "SO1S_PACKAGE_URLS" in str(problem)
    assert "s3cret" not in str(problem)


def test_a_package_has_one_url():
    again = WHEEL.replace("2.1.0", "2.2.0")
    with pytest.raises(InvalidInput, match=r"requirements\.txt line 1 has another URL of it; allowed: one"):
        Requirements.parse(f"numpy @ {WHEEL}\nNumpy @ {again}\n".encode())
    assert len(Requirements.parse(f"numpy @ {WHEEL}\nNumpy @ {WHEEL}\n".encode()).directs) == 1


HOSTILE = [
    "-r other.txt",
    "-c constraints.txt",
    "-e .",
    "-e git+https://github.com/a/b",
    "--editable ./own",
    "-i https://index.example",
    "--index-url https://index.example",
    "--index-url=https://index.example",
    "--extra-index-url https://index.example",
    "-f https://links.example",
    "--find-links /tmp",
    "--trusted-host index.example",
    "--no-binary :all:",
    "--pre",
    "numpy --config-settings=a=b",
    "numpy --global-option=build",
    "numpy -i https://index.example",
    "numpy --hash=md5:abc",
    "numpy @ https://files.example/numpy.whl",
    "numpy@https://files.example/numpy.whl",
    "numpy @ file:///etc/passwd",
    "numpy@file:own",
    "numpy@own.whl",
    "numpy @ git+ssh://git@github.com/a/b",
    "https://files.example/numpy-1.whl",
    "git+https://github.com/a/b.git@main#egg=b",
    "git@github.com:a/b.git",
    "hg+http://a/b",
    "./own",
    ".",
    "../own",
    "/tmp/own",
    "~/own",
    "C:\\own",
    "\\\\server\\own",
    "own-1.0-py3-none-any.whl",
    "own.tar.gz",
    "numpy==${SO1S_DATABASE_URL}",
    "numpy; python_version > '${HOME}'",
    "numpy\x00",
    "numpy\x1b[2J",
    "so1s-runtime",
    "So1s_Runtime==0.1",
    "numpy==",
    "numpy 1.0",
    "numpy; import os",
]


@pytest.mark.parametrize("line", HOSTILE)
def test_what_reaches_past_the_index_is_refused_with_its_line(line):
    with pytest.raises(InvalidInput) as error:
        Requirements.parse(f"pandas\n\n{line}\nattrs\n".encode())
    (problem,) = error.value.problems
    assert problem.field == "requirements.txt line 3"
    assert "allowed: " in str(problem) or "leave it out" in str(problem)


def test_a_secret_in_a_url_is_not_said_again():
    with pytest.raises(InvalidInput) as error:
        Requirements.parse(b"--extra-index-url https://me:s3cret@index.example/simple")
    assert "s3cret" not in str(error.value)


def test_every_line_that_is_refused_is_named():
    with pytest.raises(InvalidInput) as error:
        Requirements.parse(b"-r a\nnumpy\n./b\n")
    assert [each.field for each in error.value.problems] == [
        "requirements.txt line 1",
        "requirements.txt line 3",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(b"\xff\xfe", "UTF-8", id="encoding"),
        pytest.param(b"#" * 70_000, "at most 65536 bytes", id="bytes"),
        pytest.param(b"".join(b"a%d\n" % n for n in range(501)), "at most 500", id="packages"),
    ],
)
def test_a_file_that_is_none_is_refused(text, said):
    with pytest.raises(InvalidInput, match=said):
        Requirements.parse(text)


SIGNS = [
    "numpy",
    "==",
    ">=2",
    " ",
    "\t",
    "#",
    "\\",
    "\n",
    "\r",
    "\x0b",
    "\u2028",
    "@",
    "://",
    "git+",
    "-",
    "--",
]
WORDS = ["-r", "${A}", "[x]", ";", "'", '"', "python_version", "<", "./", ".whl", "=", "é", "\x00", ","]
PIECES = st.sampled_from([*SIGNS, *WORDS, f"--hash=sha256:{A}"])


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40))
@example("numpy\\\n--index-url https://index.example")
@example("numpy\u2028-r /etc/passwd")
@example("numpy #\\\n-e .")
@example("numpy===\\numpy")
def test_whatever_is_written_an_installer_reads_names_and_versions_alone(text):
    try:
        found = Requirements.parse(text.encode())
    except InvalidInput:
        return
    for package in found.packages:
        assert package.isprintable()
        assert package[0].isalnum()
        assert not any(sign in package for sign in ("@", "://", "${", " -", "\\"))
        assert Requirements.parse(package.encode()).packages == (package,)


@given(st.sampled_from(HOSTILE), st.lists(st.sampled_from(["numpy", "attrs>=2", "# words", ""]), max_size=3))
def test_what_is_hostile_is_refused_wherever_it_stands(line, others):
    for place in range(len(others) + 1):
        text = "\n".join([*others[:place], line, *others[place:]])
        with pytest.raises(InvalidInput):
            Requirements.parse(text.encode())


def test_the_requirements_of_a_model_file_are_held_to_the_same():
    assert ModelFile.parse(b"schema: so1s/v1\nrequirements: [numpy>=2]").requirements == ["numpy>=2"]
    with pytest.raises(InvalidInput, match=r"requirements: .*not taken from version control"):
        ModelFile.parse(b"schema: so1s/v1\nrequirements: [numpy, git+https://a/b]")
