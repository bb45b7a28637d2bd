/** What the stock plugins that select boxes, regions and elements say of calls that are wrong. */

import {
  cropAndResize,
  efficientNms,
  efficientNmsOnnx,
  nonZero,
  roiAlign,
  scatterElements,
  topkLastDim,
} from '@tensorwright/plugins/stock';
import { describe, expect, it } from 'vitest';
import { add, type Call, withFields, withInput } from './support/stock-call.js';

const detections: Call = {
  plugin: efficientNms,
  inputs: { boxes: ['float32', 'N', 'B', 4], scores: ['float32', 'N', 'B', 3] },
};
const indices: Call = { ...detections, plugin: efficientNmsOnnx };
const regions: Call = {
  plugin: roiAlign,
  inputs: { X: ['float16', 2, 3, 'H', 'W'], rois: ['float32', 'R', 4], batch_indices: ['int64', 'R'] },
};
const crops: Call = {
  plugin: cropAndResize,
  inputs: { feature_maps: ['float16', 'N', 3, 5, 6], rois: ['float16', 'N', 7, 4] },
  fields: { crop_height: 2, crop_width: 3 },
};
const best: Call = { plugin: topkLastDim, inputs: { input: ['int32', 'rows', 9] }, fields: { k: 4 } };
const scattered: Call = {
  plugin: scatterElements,
  inputs: { data: ['float32', 5, 4], indices: ['int32', 'U', 4], updates: ['float32', 'U', 4] },
  fields: { reduction: 'add', axis: -2 },
};

describe('calls that are right', () => {
  it.each([
    ['detections', detections],
    ['a box for each class', withInput(detections, 'boxes', 'float32', 'N', 'B', 3, 4)],
    ['anchors', withInput(detections, 'anchors', 'float32', 1, 'B', 4)],
    ['indices', indices],
    ['regions', regions],
    ['crops', crops],
    ['the best', best],
    ['updates', scattered],
    ['places', { plugin: nonZero, inputs: { input: ['bool', 'N', 5] } } satisfies Call],
  ])('%s', (_, call) => {
    expect(() => add(call)).not.toThrow();
  });
});

describe('calls that are refused', () => {
  it.each([
    [withInput(detections, 'boxes', 'float32', 'N', 'other', 4), /as many images and boxes/],
    [withInput(detections, 'boxes', 'float32', 'N', 'B', 5), /boxes must have the shape/],
    [withInput(detections, 'boxes', 'float32', 'N', 'B', 2, 4), /1 or as many classes/],
    [withInput(detections, 'boxes', 'int32', 'N', 'B', 4), /boxes must be float32, float16 or bfloat16, is int32/],
    [withInput(detections, 'scores', 'float16', 'N', 'B', 3), /boxes are float32, scores are float16/],
    [withInput(detections, 'scores', 'float32', 'N', 'B'), /scores must have the shape/],
    [withInput(detections, 'anchors', 'float32', 'M', 'B', 4), /anchors must be of 1 or of all images/],
    [withInput(detections, 'anchors', 'float32', 1, 9, 4), /as many anchors as boxes/],
    [withFields(detections, { iou_threshold: 0 }), /iou_threshold must be above 0/],
    [withFields(detections, { max_output_boxes: 0 }), /max_output_boxes must be from 1/],
    [withFields(detections, { box_coding: 2 }), /box_coding must be 0 or 1/],
    [withFields(indices, { max_output_boxes_per_class: 0 }), /max_output_boxes_per_class must be from 1/],
    [withFields(indices, { center_point_box: 3 }), /center_point_box must be 0 or 1/],
    [withInput(regions, 'rois', 'float16', 'R', 5), /rois must have the shape/],
    [withInput(regions, 'batch_indices', 'int32', 'other'), /as many integers as there are rois/],
    [withInput(regions, 'X', 'float32', 3, 5, 6), /X must have the shape/],
    [withInput(regions, 'X', 'float64', 2, 3, 5, 6), /X must be float32, float16 or bfloat16/],
    [withInput(crops, 'feature_maps', 'int8', 'N', 3, 5, 6), /feature_maps must be float32/],
    [withFields(regions, { output_height: 257 }), /must be 1 to 256/],
    [withFields(regions, { spatial_scale: 0 }), /spatial_scale must be positive/],
    [withInput(crops, 'rois', 'float16', 'M', 7, 4), /as many images/],
    [withInput(crops, 'rois', 'float16', 'N', 7, 4, 2), /rois must have the shape/],
    [withFields(crops, { crop_width: 0 }), /must be 1 to 256/],
    [withFields(best, { k: 10 }), /k must be from 1 to the 9 elements/],
    [withFields(best, { axis: 2 }), /axis 2 is not one of 2 axes/],
    [withInput(best, 'input', 'int64', 9), /input must be float32/],
    [withFields(scattered, { reduction: 'sum' }), /reduction must be one of none, add/],
    [withInput(scattered, 'updates', 'float32', 5, 4), /updates must have the shape of indices/],
    [withInput(scattered, 'indices', 'float32', 'U', 4), /indices must be int32 or int64/],
    [{ plugin: nonZero, inputs: { input: ['float32'] } } satisfies Call, /rank 1 or more/],
  ] satisfies [Call, RegExp][])('%#', (call, message) => {
    expect(() => add(call)).toThrow(message);
  });
});
