import { bdi, h, paint } from './dom.js';

export function renderCompare(root, answer, context) {
  context.setCrumbs([{ text: answer?.data?.name ?? 'compare' }]);
  paint(root, h('h1', null, bdi(answer?.summary ?? '')));
}
