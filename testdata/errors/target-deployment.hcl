drill "target-deployment" {
  target "deployment" "checkout" { # ERROR: Nothing to measure
    namespace = ""    # ERROR: Empty namespace
    selector  = "app in" # ERROR: Invalid selector
    service   = ""    # ERROR: Empty service
  }

  fault "pod_kill" "checkout" {}

  objectives {
    lost_writes = 0 # ERROR: Objective without a ledger
  }
}
