// Objects of the Gateway API and of KEDA on standard input, checked against their schemas.
import { readFileSync } from 'node:fs';
import { Gateway } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/Gateway';
import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';

const kinds = { Gateway, HTTPRoute, ScaledObject };
for (const manifest of JSON.parse(readFileSync(0, 'utf8'))) new kinds[manifest.kind](manifest).validate();
