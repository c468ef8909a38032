# What is no value. It is in a directory of its own, because it would count for every drill file beside it.
namespace = shop                # ERROR: Reference in a variables file
selector  = local.cluster       # ERROR: Reference in a variables file
zones     = [upper("a")]        # ERROR: Function in a variables file
password  = env("PASSWORD")     # ERROR: Function in a variables file
all       = [for z in [1] : z]  # ERROR: For expression in a variables file
sum       = 1 + true            # ERROR: Invalid operand
variable "replicas" {           # ERROR: Block in a variables file
  default = 2
}
locals {}                       # ERROR: Block in a variables file
right     = { a = [1, null], b = "x" }
