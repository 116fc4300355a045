"""The parts of a method and of a run of methods. A method's file imports from here."""

from jaxdc.methods.base.experiment import Experiment as Experiment
from jaxdc.methods.base.experiment import Schedule as Schedule
from jaxdc.methods.base.fields import check_fields as check_fields
from jaxdc.methods.base.fields import field as field
from jaxdc.methods.base.fields import restarts as restarts
from jaxdc.methods.base.graph import Graph as Graph
from jaxdc.methods.base.method import Aux as Aux
from jaxdc.methods.base.method import Batch as Batch
from jaxdc.methods.base.method import Clustered as Clustered
from jaxdc.methods.base.method import DataSpec as DataSpec
from jaxdc.methods.base.method import Ending as Ending
from jaxdc.methods.base.method import Method as Method
from jaxdc.methods.base.method import Stage as Stage
from jaxdc.methods.base.method import check_image_shape as check_image_shape
from jaxdc.methods.base.method import fast_steps as fast_steps
from jaxdc.methods.base.optimizer import Optimizer as Optimizer
from jaxdc.methods.base.registry import Entry as Entry
from jaxdc.methods.base.registry import Family as Family
from jaxdc.methods.base.registry import classes as classes
from jaxdc.methods.base.registry import entries as entries
from jaxdc.methods.base.registry import register as register
