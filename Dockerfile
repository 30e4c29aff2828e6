# The image of the Airflow services and of the MLflow server: Python, the locked libraries, this project's code.
# It holds no secret and no data; docker-compose.yml gives both at run time.
FROM python:3.11.14-slim-bookworm AS libraries
ENV UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
COPY requirements.txt /build/requirements.txt
COPY requirements-image.txt /build/requirements-image.txt
RUN pip install --no-cache-dir "$(grep '^uv==' /build/requirements.txt)" \
    && uv venv --python /usr/local/bin/python3.11 /opt/venv \
    && uv pip sync --no-cache --compile-bytecode /build/requirements-image.txt

FROM python:3.11.14-slim-bookworm
# A new named volume takes its owner from the folder it is mounted on, so these folders exist in the image.
RUN useradd --uid 10001 --user-group --create-home nightshift \
    && install --directory --owner=nightshift --group=nightshift --mode=0750 \
        /var/lib/nightshift /var/lib/nightshift/lake /var/lib/nightshift/models /var/lib/nightshift/serving \
        /var/lib/nightshift/airflow /var/lib/nightshift/airflow/logs
COPY --from=libraries /opt/venv /opt/venv
WORKDIR /opt/nightshift
COPY pyproject.toml pyproject.toml
COPY requirements.in requirements.in
COPY sql sql
COPY scoring scoring
COPY drift drift
COPY pages pages
COPY lifecycle lifecycle
COPY serving serving
COPY orchestration orchestration
COPY cli cli
COPY demo demo
COPY jobs jobs
COPY dags dags
# The services run as another user than the one who builds, whose files may be for that user only.
RUN chmod -R a+rX /opt/nightshift
# The program `nightshift`: the libraries are there, so nothing is fetched.
RUN pip --python /opt/venv/bin/python install --no-index --no-deps --no-build-isolation --editable .
# The services run as a user that cannot write here, so the bytecode is made now.
RUN /opt/venv/bin/python -m compileall -q scoring drift pages lifecycle serving orchestration cli demo jobs dags
# What the ledger calls this code: `git describe --always --dirty`. Empty: the package's own version.
ARG CODE_VERSION=""
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/nightshift:/opt/nightshift/orchestration/config \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AIRFLOW_HOME=/var/lib/nightshift/airflow \
    NIGHTSHIFT_DATA_DIR=/var/lib/nightshift \
    NIGHTSHIFT_CODE_VERSION=${CODE_VERSION}
USER nightshift
CMD ["nightshift", "--help"]
