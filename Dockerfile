# JupyterLab on the labs, for a machine that has Docker and no Python:
#   docker build -t pruning-lab .
#   docker run --rm -p 127.0.0.1:8888:8888 -v pruning-lab-work:/course/work pruning-lab
# Unrun: no image could be fetched where this was written. hadolint 2.15 has no remarks.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 student \
    && pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu \
    torch==2.14.1 torchvision==0.29.1
WORKDIR /course
COPY . .
RUN pip install --no-cache-dir -e ".[vision,toolbox,chip]" \
    && mkdir work /etc/jupyter \
    && chown student work \
    && echo "c.ServerApp.ip = '0.0.0.0'" > /etc/jupyter/jupyter_server_config.py

USER 1000
EXPOSE 8888
CMD ["labcore", "lab", "--no-browser"]
