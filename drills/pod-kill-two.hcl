# Two of three pods are taken away at once, without grace. The third serves on, and a request that is sent to one of the
# other two fails if the endpoints follow later than the process ends.
#
# A PodDisruptionBudget that allows one pod to be unavailable does not help: it guards evictions, and a delete asks nobody.
#
# Change namespace, selector and url to your own service. Everything else can stay as it is.

drill "pod-kill-two" {
  description = "Two of three pods are taken away at once. The third serves on, and clients see a short disturbance at most."

  # The whole run, from its plan to its report. A run that takes longer has failed.
  timeout = "10m"

  # The system under test. Its pods are found by labels; how many there should be is their Deployment's to say, and the
  # endpoints that count are those of the Service that selects them.
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  # What stands for the clients: a new connection twenty times a second, through the Service, asking for something that
  # clients really ask for. A health page would say that a pod is on its way out, which is not what clients see.
  probe "http" "checkout" {
    url     = "http://checkout.shop.svc/orders"
    rate    = 20
    timeout = "500ms"
  }

  # Nothing is touched unless all is well for this long without a break.
  steady_state {
    hold    = "10s"
    timeout = "2m"

    assert {
      condition     = target.checkout.ready >= target.checkout.desired && probe.checkout.success_ratio >= 0.99
      error_message = "Not steady: ${target.checkout.ready} of ${target.checkout.desired} endpoints are ready, and a share of ${probe.checkout.success_ratio} of the requests succeeds."
    }
  }

  # The name of this fault is the target whose pods go. The oldest go first.
  fault "pod_kill" "checkout" {
    count = 2

    # Without grace: the object is gone at once, and the kubelet ends the process about two seconds later.
    method = "force_delete"
  }

  # When to give up. A pod that was killed cannot be put back, but the run ends and says so.
  abort "outage" {
    condition     = probe.checkout.outage_seconds > duration("60s")
    error_message = "Checkout has not answered for ${probe.checkout.outage_seconds} s."
  }

  # What must hold for the run to pass. The worse end of each measurement's error bar counts.
  objectives {
    # Until requests succeed for good: the endpoints must follow on every node.
    recovery_time = "10s"

    # Until as many endpoints are ready again as are desired, none of them a victim's.
    redundancy_time = "2m"
  }
}
