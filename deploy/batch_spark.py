r"""``ncf batch`` as an application of Spark, on the machines that spark-submit names.

Where ncf[spark] is installed in the same place on every machine, and all see the folders:

    PYSPARK_PYTHON=/opt/ncf/bin/python /opt/ncf/bin/spark-submit --master spark://host:7077 \
        batch_spark.py --bundle /shared/model_store/ncf --out /shared/topk --keep 7

What follows the file are options of ``ncf batch``. Its exit codes are those of ``ncf batch``.
"""

import sys

from ncf.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["batch", "--engine", "spark"]
    main()
