package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Selector reads the labels that tell some pods from all others. What it says of a text that selects nothing, or
// everything, is a problem's summary and detail, as in a drill file.
func Selector(text string) (of labels.Selector, summary, detail string) {
	selector, err := labels.Parse(text)
	switch {
	case err != nil:
		return nil, "Invalid selector", fmt.Sprintf(
			"%q is not a label selector: %v. Write it as for kubectl get pods -l, such as \"app=postgres,cluster=orders\".", text, err)
	case selector.Empty():
		return nil, "Empty selector",
			"An empty selector matches every pod in the namespace. Name the labels of the members, such as \"app=postgres\"."
	}
	return selector, "", ""
}

// CheckNamespace says what is wrong with the name of a namespace, if anything is.
func CheckNamespace(name string) (summary, detail string) {
	switch {
	case name == "":
		return "Empty namespace", "Name the namespace, such as \"shop\"."
	case len(validation.IsDNS1123Label(name)) > 0:
		return "Invalid namespace", fmt.Sprintf(
			"%q cannot be the name of a namespace. Write up to 63 small letters, digits and hyphens, such as \"shop\".", name)
	}
	return "", ""
}

// CheckService says what is wrong with the name of a Service, if anything is.
func CheckService(name string) (summary, detail string) {
	switch {
	case name == "":
		return "Empty service", "Name the Service, such as \"orders\"."
	case len(validation.IsDNS1123Label(name)) > 0:
		return "Invalid service", fmt.Sprintf(
			"%q cannot be the name of a Service. Write its name alone, without the namespace, such as \"orders\".", name)
	}
	return "", ""
}

// CheckLabel says what is wrong with the name of a label, if anything is.
func CheckLabel(name string) (summary, detail string) {
	if len(validation.IsQualifiedName(name)) > 0 {
		return "Invalid label", fmt.Sprintf("%q cannot be the name of a label. Write it as the pods carry it, such as \"example.com/role\".", name)
	}
	return "", ""
}

// CheckLabelValue says what is wrong with the value of a label, if anything is.
func CheckLabelValue(value string) (summary, detail string) {
	if value == "" || len(validation.IsValidLabelValue(value)) > 0 {
		return "Invalid label", fmt.Sprintf("%q cannot be the value of a label. Write it as the pods carry it, such as \"primary\".", value)
	}
	return "", ""
}
